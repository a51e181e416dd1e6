#pragma once
#include <filesystem>
#include <string>
#include <string_view>
#include <vector>

namespace omni {

// The GGUF file, or first part of a split one, that a user's reference names:
//   FILE.gguf            as it is
//   DIR, OWNER/REPO      its only model (the repository as the Hugging Face cache holds it)
//   DIR:QUANT, OWNER/REPO:QUANT   the one of that type: "Q4_K_M", any case, at the end of the file's name
//   OWNER/REPO/FILE.gguf one file of a cached repository
// The last colon splits; a path that exists is never split. Throws Error: none or several models, a tag that none of
// them has (with the tags there are), a repository that is not in the cache (with what to fetch).
std::filesystem::path find_gguf(std::string_view reference);

// The GGUF models of a folder (not of folders in it): single files, and the first parts of split ones. Sorted.
std::vector<std::filesystem::path> gguf_models(const std::filesystem::path& folder);

// The quantization that a file's name ends in, as it is written there ("Q4_K_M", "UD-Q2_K_XL"); "" when there is none.
std::string gguf_tag(const std::filesystem::path& file);

}  // namespace omni
