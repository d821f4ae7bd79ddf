#include <fmt/format.h>

#include <memory>
#include <string>

#include "ctl/table_commands.h"
#include "fabric/base/error.h"

namespace selvage::ctl {
namespace {

using Tables = Client::Tables;

struct IndexOptions {
  std::string table;
  std::string path;
  std::string name;
};

absl::Status CreateIndex(Session& session, const IndexOptions& options) {
  v1::CreateTableIndexRequest request;
  request.set_table(options.table);
  request.set_path(options.path);
  request.set_name(options.name);
  SELVAGE_ASSIGN_OR_RETURN(const v1::CreateTableIndexResponse response,
                           session.Ask(&Tables::CreateTableIndex, request));
  if (session.json()) {
    PrintJson(session.out(), response);
    return absl::OkStatus();
  }
  const v1::TableIndex& index = response.index();
  session.out() << fmt::format("index {} on {} made: {}\n", Printable(index.name()), Printable(index.path()),
                               index.ready() ? "ready" : "being built, see table describe");
  return absl::OkStatus();
}

absl::Status DropIndex(Session& session, const IndexOptions& options) {
  v1::DropTableIndexRequest request;
  request.set_table(options.table);
  request.set_name(options.name);
  SELVAGE_ASSIGN_OR_RETURN(const v1::DropTableIndexResponse response,
                           session.Ask(&Tables::DropTableIndex, request));
  if (session.json()) {
    PrintJson(session.out(), response);
  } else {
    session.out() << fmt::format("index {} dropped\n", Printable(options.name));
  }
  return absl::OkStatus();
}

}  // namespace

void AddIndex(CLI::App& noun, Session& session) {
  CLI::App* index = noun.add_subcommand("index", "Indexes of a table, at this node alone");
  index->require_subcommand(1);
  auto options = std::make_shared<IndexOptions>();
  CLI::App* create = index->add_subcommand("create", "Make an index on a field, which queries use");
  create->add_option("table", options->table)->required();
  create->add_option("path", options->path, "Of the field, as in filters: 'site.country'")->required();
  create->add_option("--name", options->name, "1 to 64 of a-z, A-Z, 0-9, ., _ and - (default the path)");
  create->callback([&session, options] { session.Finish(CreateIndex(session, *options)); });
  CLI::App* drop = index->add_subcommand("drop", "Drop an index; the rows stay");
  drop->add_option("table", options->table)->required();
  drop->add_option("name", options->name)->required();
  drop->callback([&session, options] { session.Finish(DropIndex(session, *options)); });
}

}  // namespace selvage::ctl
