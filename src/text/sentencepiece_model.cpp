#include "text/sentencepiece_model.h"

#include <sentencepiece_processor.h>

#include "base/error.h"
#include "base/files.h"

namespace omni {

SentencePieceModel::SentencePieceModel(const std::filesystem::path& path) {
  constexpr size_t kMaxBytes = size_t{64} << 20;
  const std::string bytes = read_file(path, kMaxBytes);
  auto processor = std::make_shared<sentencepiece::SentencePieceProcessor>();
  const sentencepiece::util::Status status = processor->LoadFromSerializedProto(bytes);
  if (!status.ok()) throw Error(path.string(), "cannot be loaded: " + status.ToString(), "a SentencePiece model");
  processor_ = std::move(processor);
}

int32_t SentencePieceModel::size() const {
  return processor_->GetPieceSize();
}

int32_t SentencePieceModel::find(const std::string& piece) const {
  const int id = processor_->PieceToId(piece);
  return id >= 0 && id < size() && processor_->IdToPiece(id) == piece ? id : -1;
}

void SentencePieceModel::encode(std::string_view text, std::vector<int32_t>& out) const {
  std::vector<int> ids;
  const sentencepiece::util::Status status = processor_->Encode(std::string(text), &ids);
  if (!status.ok()) throw Error("text", "SentencePiece fails: " + status.ToString());
  out.insert(out.end(), ids.begin(), ids.end());
}

}  // namespace omni
