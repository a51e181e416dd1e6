#include "text/tokenizer_files.h"

#include <algorithm>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "base/files.h"

namespace omni {
namespace {

// A token is a string or an object with its content.
void read_token(const JsonObject& config, std::string_view key, std::optional<std::string>& token) {
  if (!config.has(key)) return;
  token = config.value().at(std::string(key)).is_object() ? config.object(key).string("content") : config.string(key);
}

void read_tokens(const JsonObject& config, TokenizerConfig& out) {
  read_token(config, "bos_token", out.bos_token);
  read_token(config, "eos_token", out.eos_token);
  read_token(config, "pad_token", out.pad_token);
  read_token(config, "unk_token", out.unk_token);
}

TokenIds read_vocab_json(const std::filesystem::path& path) {
  const JsonObject file = JsonObject::load(path);
  const auto limit = static_cast<int64_t>(file.value().size());
  TokenIds ids;
  for (const std::string& token : file.keys()) {
    if (const int64_t id = file.integer(token); id < 0 || id >= limit)
      throw Error(path.string(), "gives '" + token + "' the id " + std::to_string(id),
                  "ids below the vocabulary size " + std::to_string(limit));
    ids.emplace(token, static_cast<int32_t>(file.integer(token)));
  }
  check_ids(ids, limit, path.string());
  return ids;
}

std::vector<std::pair<std::string, std::string>> read_merges_txt(const std::filesystem::path& path) {
  constexpr size_t kMaxBytes = size_t{64} << 20;
  const std::string bytes = read_file(path, kMaxBytes);
  std::vector<std::pair<std::string, std::string>> merges;
  std::string_view rest = bytes;
  for (int64_t number = 1; !rest.empty(); ++number) {
    std::string_view line = rest.substr(0, rest.find('\n'));
    rest.remove_prefix(std::min(rest.size(), line.size() + 1));
    if (line.ends_with('\r')) line.remove_suffix(1);
    if (line.empty() || line.starts_with("#version")) continue;
    const size_t space = line.find(' ');
    if (space == 0 || space == std::string_view::npos || line.find(' ', space + 1) != std::string_view::npos ||
        space + 1 == line.size())
      throw Error(path.string() + ": line " + std::to_string(number), "is no merge", "two tokens");
    merges.emplace_back(line.substr(0, space), line.substr(space + 1));
  }
  return merges;
}

AddedToken plain_token(const std::string& content, int32_t id) {
  AddedToken token;
  token.content = content;
  token.id = id;
  return token;
}

// CLIP's word pattern, as its tokenizer.json has it.
constexpr std::string_view kClipWords =
    R"(<\|startoftext\|>|<\|endoftext\|>|'s|'t|'re|'ve|'m|'ll|'d|[\p{L}]+|[\p{N}]|[^\s\p{L}\p{N}]+)";

}  // namespace

TokenizerConfig::TokenizerConfig(const std::filesystem::path& folder) {
  if (const auto path = folder / "special_tokens_map.json"; std::filesystem::exists(path))
    read_tokens(JsonObject::load(path), *this);
  const auto path = folder / "tokenizer_config.json";
  if (!std::filesystem::exists(path)) return;
  const JsonObject config = JsonObject::load(path);
  read_tokens(config, *this);
  extra_ids = config.integer_or("extra_ids", 0);
  constexpr int64_t kMaxExtraIds = 1 << 20;
  if (extra_ids < 0 || extra_ids > kMaxExtraIds)
    throw Error(path.string() + ": extra_ids", "is " + std::to_string(extra_ids), "0 to 1048576");
  if (!config.has("model_max_length")) return;
  const double length = config.number("model_max_length");  // 1e30 stands for no limit
  if (!(length >= 1)) throw Error(path.string() + ": model_max_length", "is below 1", "a number of tokens");
  if (length < static_cast<double>(max_tokens)) max_tokens = static_cast<int64_t>(length);
}

TokenizerParts load_clip_files(const std::filesystem::path& folder, const TokenizerConfig& config) {
  const std::string start = config.bos_token.value_or("<|startoftext|>");
  const std::string end = config.eos_token.value_or("<|endoftext|>");
  Bpe::Options options;
  options.end_of_word_suffix = "</w>";
  options.unk_token = config.unk_token.value_or(end);
  const std::string where = (folder / "vocab.json").string();
  Bpe bpe(read_vocab_json(where), read_merges_txt(folder / "merges.txt"), options, where);
  TokenizerParts parts(std::move(bpe));
  parts.normalizers = {UnicodeForm::kNfc, Replace{Regex(R"(\s+)", "CLIP"), " "}, Lowercase{}};
  ByteLevel bytes;
  bytes.words = byte_level_words();
  parts.pre_tokenizers = {Split{Regex(kClipWords, "CLIP"), Split::Behavior::kRemoved, true}, std::move(bytes)};
  std::vector<AddedToken> added;
  for (const std::string& token : {start, end}) {
    const int32_t id = find_token(parts, token);
    if (id < 0) throw Error(where, "lacks the token '" + token + "'", "the special tokens of the config");
    if (parts.special_ids.emplace(token, id).second) added.push_back(plain_token(token, id));
  }
  parts.raw_added = AddedTokens(std::move(added));
  parts.prefix = {find_token(parts, start)};
  parts.suffix = {find_token(parts, end)};
  parts.vocab_size = static_cast<int64_t>(std::get<Bpe>(parts.model).ids().size());
  return parts;
}

// T5's way: special tokens are taken from the text first, extra ids follow the pieces in falling order, </s> ends.
TokenizerParts load_sentencepiece(const std::filesystem::path& path, const TokenizerConfig& config) {
  TokenizerParts parts{SentencePieceModel(path)};
  const auto& model = std::get<SentencePieceModel>(parts.model);
  std::vector<AddedToken> added;
  const auto add = [&](const std::string& token, int32_t id) {
    if (parts.special_ids.emplace(token, id).second) added.push_back(plain_token(token, id));
  };
  const std::string end = config.eos_token.value_or("</s>");
  for (const std::string& token : {config.pad_token.value_or("<pad>"), end, config.unk_token.value_or("<unk>")}) {
    const int32_t id = model.find(token);
    if (id >= 0 && !token.empty()) add(token, id);
  }
  parts.vocab_size = model.size() + config.extra_ids;
  for (int64_t i = 0; i < config.extra_ids; ++i)
    add("<extra_id_" + std::to_string(i) + ">", static_cast<int32_t>(parts.vocab_size - 1 - i));
  if (!parts.special_ids.contains(end)) throw Error(path.string(), "lacks the end token '" + end + "'", "T5's pieces");
  parts.suffix = {parts.special_ids.at(end)};
  parts.raw_added = AddedTokens(std::move(added));
  return parts;
}

int32_t find_token(const TokenizerParts& parts, const std::string& token) {
  if (const auto it = parts.special_ids.find(token); it != parts.special_ids.end()) return it->second;
  if (const auto* model = std::get_if<SentencePieceModel>(&parts.model)) return model->find(token);
  const auto* bpe = std::get_if<Bpe>(&parts.model);
  const TokenIds& ids = bpe != nullptr ? bpe->ids() : std::get<Unigram>(parts.model).ids();
  const auto it = ids.find(token);
  return it == ids.end() ? -1 : it->second;
}

}  // namespace omni
