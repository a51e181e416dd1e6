#include "checkpoint/gguf_reference.h"

#include <algorithm>
#include <array>
#include <cctype>
#include <optional>
#include <set>

#include "base/error.h"
#include "checkpoint/gguf.h"
#include "checkpoint/hub_cache.h"

namespace omni {
namespace {

namespace fs = std::filesystem;
constexpr std::string_view kSuffix = ".gguf";

std::string upper(std::string_view text) {
  std::string out(text);
  for (char& c : out) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  return out;
}

// "Q4_K_M", "IQ2_XXS", "TQ1_0", "BF16", "MXFP4_MOE": how names of quantizations begin.
bool looks_like_tag(std::string_view text) {
  const std::string name = upper(text);
  constexpr std::array<std::string_view, 7> kFloats = {"BF16", "F16", "F32", "FP16", "FP32", "MXFP4", "NVFP4"};
  for (const std::string_view known : kFloats) {
    if (name == known || name.starts_with(std::string(known) + "_")) return true;
  }
  const size_t digits = name.find_first_of("0123456789");
  if (digits == std::string::npos || digits == 0) return false;
  const std::string letters = name.substr(0, digits);
  return letters == "Q" || letters == "IQ" || letters == "TQ";
}

std::string names_of(const std::vector<fs::path>& files) {
  std::string out;
  for (const fs::path& file : files) out += (out.empty() ? "" : ", ") + file.filename().string();
  return out;
}

std::string tags_of(const std::vector<fs::path>& files) {
  std::set<std::string> tags;
  for (const fs::path& file : files) {
    const std::string tag = gguf_tag(file);
    tags.insert(tag.empty() ? file.filename().string() : tag);
  }
  std::string out;
  for (const std::string& tag : tags) out += (out.empty() ? "" : ", ") + tag;
  return out;
}

// Models of a folder and of the folders in it, as repositories have them (Q4_K_M/model-00001-of-00002.gguf).
std::vector<fs::path> models_below(const fs::path& folder) {
  std::vector<fs::path> out = gguf_models(folder);
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, failed)) {
    if (!entry.is_directory(failed)) continue;
    for (fs::path& file : gguf_models(entry.path())) out.push_back(std::move(file));
  }
  std::ranges::sort(out);
  return out;
}

bool has_tag(const fs::path& file, const std::string& wanted) {
  const std::string tag = upper(gguf_tag(file)), folder = upper(file.parent_path().filename().string());
  return tag == wanted || tag == "UD-" + wanted || (tag.empty() && folder == wanted);
}

// The one model of a folder, with the tag if there is one.
fs::path pick(const fs::path& folder, std::string_view tag, const std::string& reference) {
  const std::vector<fs::path> models = models_below(folder);
  if (models.empty()) throw Error(reference, "there is no .gguf file in " + folder.string(), "a GGUF model");
  if (tag.empty()) {
    if (models.size() == 1) return models[0];
    throw Error(reference, "several GGUF models: " + names_of(models), "one of them, or a tag: " + tags_of(models));
  }
  const std::string wanted = upper(tag);
  std::vector<fs::path> found, exact;
  for (const fs::path& model : models) {
    if (has_tag(model, wanted)) found.push_back(model);
    if (has_tag(model, wanted) && upper(gguf_tag(model)) == wanted) exact.push_back(model);
  }
  if (!exact.empty()) found = exact;
  if (found.size() == 1) return found[0];
  if (found.empty()) {
    throw Error(reference, "no GGUF model has the tag '" + std::string(tag) + "'", "one of " + tags_of(models));
  }
  throw Error(reference, "several GGUF models have the tag: " + names_of(found), "the path of one of them");
}

fs::path snapshot_of(std::string_view repository, const std::string& reference) {
  const std::optional<fs::path> snapshot = cached_snapshot(repository);
  if (snapshot) return *snapshot;
  throw Error(reference, "the repository " + std::string(repository) + " is not in the cache " + hub_cache().string(),
              "`omni pull " + reference + "` first, or a local file or folder");
}

// OWNER/REPO/FILE.gguf; nullopt when it has another form.
std::optional<fs::path> cached_file(std::string_view text, const std::string& reference) {
  const size_t owner = text.find('/');
  const size_t repo = owner == std::string_view::npos ? owner : text.find('/', owner + 1);
  if (repo == std::string_view::npos || !text.ends_with(kSuffix) || !is_repository(text.substr(0, repo))) {
    return std::nullopt;
  }
  const std::string_view inside = text.substr(repo + 1);
  if (inside.find("..") != std::string_view::npos) return std::nullopt;
  const fs::path folder = snapshot_of(text.substr(0, repo), reference), file = folder / inside;
  std::error_code failed;
  if (fs::exists(file, failed)) return file;
  throw Error(reference, "the cached repository holds no " + std::string(inside),
              "`omni pull " + std::string(text.substr(0, repo)) + "`, or one of " + names_of(models_below(folder)));
}

}  // namespace

std::vector<fs::path> gguf_models(const fs::path& folder) {
  std::vector<fs::path> out;
  std::set<std::string> splits;
  std::error_code failed;
  for (const fs::directory_entry& entry : fs::directory_iterator(folder, failed)) {
    const std::string name = entry.path().filename().string();
    if (!name.ends_with(kSuffix) || entry.is_directory(failed)) continue;
    std::optional<GgufPart> part = gguf_part(name);
    if (!part || part->count < 2) {
      out.push_back(entry.path());
      continue;
    }
    part->number = 1;  // of a split model one part stands for all; opening it says which are missing
    const std::string first = gguf_part_name(*part);
    if (splits.insert(first).second) out.push_back(fs::exists(folder / first, failed) ? folder / first : entry.path());
  }
  std::ranges::sort(out);
  return out;
}

std::string gguf_tag(const fs::path& file) {
  std::string stem = file.filename().string();
  if (const std::optional<GgufPart> part = gguf_part(stem)) stem = part->stem + std::string(kSuffix);
  if (stem.ends_with(kSuffix)) stem.resize(stem.size() - kSuffix.size());
  constexpr std::string_view kBreaks = "-._";
  std::string found;
  for (size_t begin = 0; begin < stem.size(); ++begin) {
    if (begin > 0 && kBreaks.find(stem[begin - 1]) == std::string_view::npos) continue;
    const size_t end = std::min(stem.find_first_of("-.", begin), stem.size());
    const std::string part = stem.substr(begin, end - begin);
    if (!looks_like_tag(part)) continue;
    const bool unsloth = begin >= 3 && upper(std::string_view(stem).substr(begin - 3, 3)) == "UD-";
    found = (unsloth ? "UD-" : "") + part;
  }
  return found;
}

fs::path find_gguf(std::string_view reference) {
  const std::string text(reference);
  std::error_code failed;
  if (text.empty()) throw usage_error("GGUF", "is empty", "FILE.gguf, DIR:QUANT or OWNER/REPO:QUANT");
  if (fs::is_directory(text, failed)) return pick(text, "", text);
  if (fs::exists(text, failed)) return text;
  const size_t colon = text.rfind(':');
  const std::string place = text.substr(0, colon), tag = colon == std::string::npos ? "" : text.substr(colon + 1);
  if (colon != std::string::npos && (tag.empty() || tag.find('/') != std::string::npos)) {
    throw Error(text, tag.empty() ? "names no quantization behind its colon" : "there is no such file",
                "FILE.gguf, DIR:QUANT or OWNER/REPO:QUANT");
  }
  if (fs::is_directory(place, failed)) return pick(place, tag, text);
  if (!tag.empty() && fs::exists(place, failed)) {
    throw Error(text, "'" + tag + "' stands behind a file", "the file alone, or a folder or repository with a tag");
  }
  if (const std::optional<fs::path> file = cached_file(text, text)) return *file;
  if (is_repository(place)) return pick(snapshot_of(place, text), tag, text);
  throw Error(text, "there is no such file, folder or repository", "FILE.gguf, DIR:QUANT or OWNER/REPO:QUANT");
}

}  // namespace omni
