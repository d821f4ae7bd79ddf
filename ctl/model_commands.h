#pragma once

#include <CLI/App.hpp>

#include "ctl/session.h"

/// Commands of `selvagectl model` that have files of their own. `session` must outlive `noun`.
namespace selvage::ctl {

void AddRollouts(CLI::App& noun, Session& session);

}  // namespace selvage::ctl
