#include <fmt/format.h>

#include <filesystem>
#include <memory>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "checkpoint/checkpoint.h"
#include "commands.h"
#include "pipelines/model_location.h"
#include "terminal.h"

namespace omni::cli {
namespace {

namespace fs = std::filesystem;

struct Flags {
  std::string path, decode, output;
  bool json = false;
};

struct Part {
  std::string component;  // "" for a file or a component's own folder
  std::unique_ptr<Checkpoint> checkpoint;
};

// A file, a component's folder, or every component of a pipeline's folder.
std::vector<Part> open_parts(const std::string& name) {
  const fs::path path = fs::exists(name) ? fs::path(name) : find_model(name);
  std::vector<Part> parts;
  if (!fs::is_directory(path) || !fs::exists(path / "model_index.json")) {
    parts.push_back({"", open_safetensors(path)});
    return parts;
  }
  for (const char* component : {"text_encoder", "text_encoder_2", "transformer", "vae"}) {
    if (fs::is_directory(path / component)) parts.push_back({component, open_safetensors(path / component)});
  }
  return parts;
}

int decode(const Flags& flags, const std::vector<Part>& parts) {
  for (const Part& part : parts) {
    const std::string prefix = part.component.empty() ? "" : part.component + ".";
    if (flags.decode.rfind(prefix, 0) != 0) continue;
    const std::string name = flags.decode.substr(prefix.size());
    for (const std::string& candidate : {name, name + ".weight"}) {
      if (part.checkpoint->find(candidate) == nullptr) continue;
      write_npy(flags.output, to_f32(part.checkpoint->tensor(candidate)));
      return 0;
    }
  }
  throw Error(flags.path + ": " + flags.decode, "there is no such tensor", "a name that `omni inspect` lists");
}

int run(const Flags& flags) {
  const std::vector<Part> parts = open_parts(flags.path);
  if (!flags.decode.empty()) return decode(flags, parts);
  TextTable table{.headers = {"tensor", "dtype", "shape", "size"}, .right = {false, false, false, true}, .rows = {}};
  nlohmann::json document = nlohmann::json::array();
  int64_t total = 0;
  for (const Part& part : parts) {
    const std::string prefix = part.component.empty() ? "" : part.component + ".";
    for (const std::string& name : part.checkpoint->names()) {
      const Checkpoint::Entry& entry = *part.checkpoint->find(name);
      const int64_t bytes = storage_bytes(entry.dtype, entry.shape.count());
      total += bytes;
      table.rows.push_back(
          {prefix + name, std::string(dtype_name(entry.dtype)), entry.shape.text(), bytes_text(bytes)});
      nlohmann::json shape = nlohmann::json::array();
      for (int axis = 0; axis < entry.shape.rank(); ++axis) shape.push_back(entry.shape[axis]);
      document.push_back({{"name", prefix + name},
                          {"dtype", dtype_name(entry.dtype)},
                          {"shape", shape},
                          {"bytes", bytes},
                          {"file", entry.file.filename().string()}});
    }
  }
  if (flags.json)
    fmt::print("{}\n", nlohmann::json{{"path", flags.path}, {"tensors", document}, {"bytes", total}}.dump(2));
  else
    fmt::print("{}{} tensors, {}\n", table.text(), table.rows.size(), bytes_text(total));
  return 0;
}

}  // namespace

Command add_inspect(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  CLI::App* sub = app.add_subcommand("inspect", "tensors of a checkpoint or component; one of them as .npy");
  sub->add_option("PATH", flags->path, "a .safetensors file, a component's folder, a model")->required();
  CLI::Option* output = sub->add_option("-o,--output", flags->output, "FILE.npy for --decode");
  sub->add_option("--decode", flags->decode, "WEIGHT: write this one as f32")->needs(output);
  sub->add_flag("--json", flags->json, "print one JSON document");
  return [flags] { return run(*flags); };
}

}  // namespace omni::cli
