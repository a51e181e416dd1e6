#include "checkpoint/hub_cache.h"

#include <algorithm>
#include <cctype>
#include <cstdlib>
#include <vector>

#include "base/error.h"
#include "base/files.h"

namespace omni {
namespace {

namespace fs = std::filesystem;

std::optional<fs::path> from_environment(const char* name) {
  const char* value = std::getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return fs::path(value);
}

bool plain_part(std::string_view part) {
  if (part.empty() || part == "." || part == "..") return false;
  return std::ranges::all_of(part,
                             [](unsigned char c) { return std::isalnum(c) != 0 || c == '-' || c == '_' || c == '.'; });
}

}  // namespace

fs::path hub_cache() {
  if (const auto hub = from_environment("HF_HUB_CACHE")) return *hub;
  if (const auto home = from_environment("HF_HOME")) return *home / "hub";
  return from_environment("HOME").value_or(".") / ".cache/huggingface/hub";
}

bool is_repository(std::string_view text) {
  const size_t slash = text.find('/');
  return slash != std::string_view::npos && plain_part(text.substr(0, slash)) && plain_part(text.substr(slash + 1));
}

std::optional<fs::path> cached_snapshot(std::string_view repository) {
  const size_t slash = repository.find('/');
  const fs::path folder = hub_cache() / ("models--" + std::string(repository.substr(0, slash)) + "--" +
                                         std::string(repository.substr(slash + 1)));
  std::error_code failed;
  if (fs::exists(folder / "refs/main", failed)) {
    std::string revision = read_file(folder / "refs/main", 1 << 10);
    while (!revision.empty() && std::isspace(static_cast<unsigned char>(revision.back())) != 0) revision.pop_back();
    if (!plain_part(revision)) throw Error((folder / "refs/main").string(), "holds no revision", "a commit's hash");
    if (fs::is_directory(folder / "snapshots" / revision, failed)) return folder / "snapshots" / revision;
  }
  std::vector<fs::path> snapshots;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder / "snapshots", failed)) {
    if (entry.is_directory(failed)) snapshots.push_back(entry.path());
  }
  if (snapshots.empty()) return std::nullopt;
  if (snapshots.size() > 1) {
    throw Error((folder / "snapshots").string(), std::to_string(snapshots.size()) + " revisions, of which none is main",
                "the path of one of them in place of " + std::string(repository));
  }
  return snapshots[0];
}

}  // namespace omni
