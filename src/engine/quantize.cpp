#include "engine/quantize.h"

#include <unistd.h>

#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>
#include <optional>
#include <utility>

#include "base/error.h"
#include "base/thread_pool.h"
#include "engine/export_folder.h"
#include "engine/export_gguf.h"
#include "engine/loader.h"
#include "pipelines/model_location.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

// A folder beside the output that is gone when the work does not end well.
class Workshop {
 public:
  explicit Workshop(const fs::path& out) {
    std::string name = (out.parent_path() / ("." + out.filename().string() + ".partial-XXXXXX")).string();
    if (::mkdtemp(name.data()) == nullptr) {
      throw Error(out.string(), std::string("cannot be written: ") + std::strerror(errno), "a writable folder");
    }
    path_ = name;
    fs::permissions(path_, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec |
                               fs::perms::others_read | fs::perms::others_exec);
  }
  ~Workshop() {
    std::error_code ignored;
    fs::remove_all(path_, ignored);
  }
  Workshop(const Workshop&) = delete;
  Workshop& operator=(const Workshop&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

bool is_inside(const fs::path& path, const fs::path& folder) {
  const fs::path relative = path.lexically_relative(folder);
  return !relative.empty() && *relative.begin() != "..";
}

// What may be replaced with --force: a model, a GGUF file or nothing. Never a folder of other things.
bool is_output(const fs::path& path) {
  if (!fs::is_directory(path)) return fs::is_regular_file(path) && path.extension() == ".gguf";
  bool gguf = true;
  for (const auto& entry : fs::directory_iterator(path)) gguf = gguf && entry.path().extension() == ".gguf";
  return gguf || fs::exists(path / "model_index.json") || fs::exists(path / "config.json");
}

void check_out(const QuantizeOptions& options, const fs::path& out, const fs::path& model) {
  if (options.out.empty()) throw usage_error("-o", "is empty", "the folder or .gguf file to write");
  const fs::path resolved = fs::weakly_canonical(out), from = fs::canonical(model);
  if (is_inside(resolved, from) || is_inside(from, resolved)) {
    throw usage_error("-o", "is '" + out.string() + "', which is or holds the model, or lies in it",
                      "a place outside of " + model.string());
  }
  if (!fs::is_directory(out.parent_path()))
    throw Error(out.string(), "its folder does not exist", "an existing folder");
  if (::access(out.parent_path().c_str(), W_OK) != 0) {
    throw Error(out.string(), "its folder cannot be written", "a writable folder");
  }
  if (!fs::exists(fs::symlink_status(out))) return;
  if (!options.force)
    throw usage_error("-o", "'" + out.string() + "' exists", "another name, or --force to replace it");
  if (!is_output(out)) {
    throw usage_error("--force", "'" + out.string() + "' is no model, and stays",
                      "a model's folder or .gguf file to replace");
  }
}

// The finished file or folder takes its name; what was there before goes.
void put_in_place(const fs::path& from, const fs::path& out, const Workshop& workshop) {
  std::error_code failed;
  if (fs::exists(fs::symlink_status(out))) fs::rename(out, workshop.path() / "replaced", failed);
  if (!failed) fs::rename(from, out, failed);
  if (failed) throw Error(out.string(), "cannot be put in place: " + failed.message(), "a writable folder");
}

std::vector<QuantizedWeight> rows_of(const ExportSink& sink, const Ledger& ledger) {
  std::vector<QuantizedWeight> out;
  for (const LedgerRow& row : ledger.rows) {
    const auto written = sink.written().find(row.path);
    if (written == sink.written().end() || row.role == Role::kNever || row.stored == row.target) continue;
    out.push_back({row.path, row.stored, row.target, row.rows, row.cols, row.bytes_stored, written->second, row.error});
  }
  return out;
}

QuantizeResult write_folder(const QuantizeOptions& options, FunctionRef<void(int64_t, int64_t)> progress, Exec& exec,
                            const fs::path& model, const fs::path& made) {
  fs::create_directory(made);
  FolderExport sink(options, progress, model, made);
  const LoadedModel loaded = load_model(options.model, exec, Load::kExport, &sink);
  sink.finish();
  return {.format = std::string(sink.spelling().name()),
          .path = {},
          .weights = rows_of(sink, loaded.ledger),
          .components = sink.components(),
          .notes = sink.notes,
          .bytes_before = sink.bytes_before(),
          .bytes_after = sink.bytes_after()};
}

QuantizeResult write_gguf_model(const QuantizeOptions& options, FunctionRef<void(int64_t, int64_t)> progress,
                                Exec& exec, const fs::path& model, const fs::path& file) {
  fs::create_directories(file.parent_path());
  GgufExport sink(options, progress, model, file);
  const LoadedModel loaded = load_model(options.model, exec, Load::kExport, &sink);
  sink.finish();
  return {.format = "gguf",
          .path = {},
          .weights = rows_of(sink, loaded.ledger),
          .components = {sink.component()},
          .notes = sink.notes,
          .bytes_before = sink.bytes_before(),
          .bytes_after = static_cast<int64_t>(fs::file_size(file))};
}

}  // namespace

std::vector<QuantizeFormat> quantize_formats() {
  std::vector<QuantizeFormat> out;
  for (const Spelling* spelling : spellings()) out.push_back({spelling->name(), spelling->what()});
  out.push_back({"gguf", "one .gguf file of the main component for llama.cpp, ComfyUI-GGUF and stable-diffusion.cpp"});
  return out;
}

QuantizeResult quantize_model(const QuantizeOptions& options, FunctionRef<void(int64_t, int64_t)> progress) {
  QuantizeOptions wish = options;
  const fs::path model = find_model(options.model.model);
  fs::path out = fs::absolute(options.out).lexically_normal();
  if (!out.has_filename()) out = out.parent_path();
  if (wish.format.empty() && out.extension() == ".gguf") wish.format = "gguf";
  const bool known = wish.format.empty() || wish.format == "gguf" || find_spelling(wish.format) != nullptr;
  if (!known) {
    std::string names;
    for (const QuantizeFormat& format : quantize_formats())
      names += (names.empty() ? "" : ", ") + std::string(format.name);
    throw usage_error("--format", "is '" + wish.format + "'", "one of " + names);
  }
  if (!fs::is_directory(model)) {
    throw usage_error("MODEL", "is the file '" + model.string() + "', which has no config to write again",
                      "the model's folder, with --gguf-model for weights from a file");
  }
  check_out(wish, out, model);
  ThreadPool pool(wish.model.threads);
  Exec exec;
  exec.pool = &pool;
  exec.compute = wish.model.compute == ComputeType::kF32 ? DType::kF32 : DType::kBF16;

  const Workshop workshop(out);
  fs::path made = workshop.path() / "made";
  std::optional<QuantizeResult> result;
  if (wish.format != "gguf") {
    try {
      result = write_folder(wish, progress, exec, model, made);
    } catch (const WantsGguf&) {
      fs::remove_all(made);
    }
  }
  fs::path inside;  // the file's place in a folder
  if (!result) {
    if (out.extension() != ".gguf") inside = out.filename().string() + ".gguf";
    const fs::path file = inside.empty() ? made : made / inside;
    result = write_gguf_model(wish, progress, exec, model, file);
  }
  put_in_place(made, out, workshop);
  result->path = inside.empty() ? options.out : options.out / inside;
  return *result;
}

}  // namespace omni
