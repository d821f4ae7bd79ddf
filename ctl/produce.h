#pragma once

#include <CLI/App.hpp>

#include "ctl/session.h"

namespace selvage::ctl {

/// `stream produce`: lines from the standard input or a file become records. `session` must outlive `noun`.
void AddProduce(CLI::App& noun, Session& session);

}  // namespace selvage::ctl
