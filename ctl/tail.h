#pragma once

#include <CLI/App.hpp>

#include "ctl/session.h"

namespace selvage::ctl {

/// `stream tail`: prints the records of a stream and follows it. `session` must outlive `noun`.
void AddTail(CLI::App& noun, Session& session);

}  // namespace selvage::ctl
