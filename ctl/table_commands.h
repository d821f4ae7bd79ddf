#pragma once

#include <CLI/App.hpp>

#include "ctl/session.h"

/// The verbs of `table`, by file. `session` must outlive `noun`.
namespace selvage::ctl {

void AddRowWrites(CLI::App& noun, Session& session);  ///< put, update, delete
void AddRowReads(CLI::App& noun, Session& session);   ///< get, scan, export
void AddQuery(CLI::App& noun, Session& session);
void AddIndex(CLI::App& noun, Session& session);
void AddWatch(CLI::App& noun, Session& session);
void AddImport(CLI::App& noun, Session& session);
void AddTableLists(CLI::App& noun, Session& session);  ///< conflicts, quarantine

}  // namespace selvage::ctl
