#pragma once
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>

namespace omni {

// The Hugging Face cache on this machine: $HF_HUB_CACHE, else $HF_HOME/hub, else ~/.cache/huggingface/hub. Read only.
std::filesystem::path hub_cache();

// True for "owner/name" with the characters that repositories may have.
bool is_repository(std::string_view text);

// The folder of a cached repository's files: the revision of refs/main, else its only snapshot. nullopt: not cached.
// Throws Error when there are several snapshots and none is main.
std::optional<std::filesystem::path> cached_snapshot(std::string_view repository);

}  // namespace omni
