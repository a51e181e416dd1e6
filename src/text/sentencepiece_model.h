#pragma once
#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace sentencepiece {
class SentencePieceProcessor;
}

namespace omni {

// A spiece.model, read and applied by the SentencePiece library, which also normalizes and cuts the text.
class SentencePieceModel {
 public:
  explicit SentencePieceModel(const std::filesystem::path& path);

  int32_t size() const;
  int32_t find(const std::string& piece) const;  // -1 when there is no such piece
  void encode(std::string_view text, std::vector<int32_t>& out) const;

 private:
  std::shared_ptr<const sentencepiece::SentencePieceProcessor> processor_;
};

}  // namespace omni
