#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"
#include "text/tokenizer_files.h"

namespace omni {
namespace {

using nlohmann::json;

std::string shown(const json& value) {
  return value.dump(-1, ' ', true, json::error_handler_t::replace).substr(0, 60);
}

size_t added_count(const JsonObject& file) {
  const auto it = file.value().find("added_tokens");
  return it != file.value().end() && it->is_array() ? it->size() : 0;
}

// added: how many tokens the file adds; ids of the vocabulary may lie among theirs.
TokenIds read_vocab_map(const JsonObject& model, size_t added) {
  const JsonObject vocab = model.object("vocab");
  const auto limit = static_cast<int64_t>(vocab.value().size() + added);
  TokenIds ids;
  ids.reserve(vocab.value().size());
  for (const auto& item : vocab.value().items()) {
    const json& id = item.value();
    if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= limit) {
      throw Error(vocab.where(), "gives '" + item.key() + "' the id " + shown(id),
                  "ids below the vocabulary size " + std::to_string(vocab.value().size()));
    }
    ids.emplace(item.key(), id.get<int32_t>());
  }
  check_ids(ids, limit, vocab.where());
  return ids;
}

std::vector<std::pair<std::string, std::string>> read_merges(const JsonObject& model) {
  const std::string where = model.where() + ": merges";
  const auto it = model.value().find("merges");
  if (it == model.value().end() || !it->is_array()) throw Error(where, "is missing or no list", "a list of pairs");
  std::vector<std::pair<std::string, std::string>> merges;
  merges.reserve(it->size());
  for (const json& merge : *it) {
    if (merge.is_array() && merge.size() == 2 && merge[0].is_string() && merge[1].is_string()) {
      merges.emplace_back(merge[0].get<std::string>(), merge[1].get<std::string>());
      continue;
    }
    const std::string text = merge.is_string() ? merge.get<std::string>() : "";
    const size_t space = text.find(' ');
    if (space == std::string::npos || text.find(' ', space + 1) != std::string::npos)
      throw Error(where, "has " + shown(merge), "pairs of tokens");
    merges.emplace_back(text.substr(0, space), text.substr(space + 1));
  }
  return merges;
}

void refuse_options(const JsonObject& model) {
  if (model.boolean_or("byte_fallback", false))
    throw Error(model.where() + ": byte_fallback", "is not supported", "false");
  if (model.number_or("dropout", 0) != 0) throw Error(model.where() + ": dropout", "is not supported", "null");
  if (!model.string_or("continuing_subword_prefix", "").empty())
    throw Error(model.where() + ": continuing_subword_prefix", "is not supported", "null");
}

Bpe read_bpe(const JsonObject& model, size_t added) {
  refuse_options(model);
  TokenIds ids = read_vocab_map(model, added);
  Bpe::Options options;
  options.end_of_word_suffix = model.string_or("end_of_word_suffix", "");
  options.unk_token = model.string_or("unk_token", "");
  options.fuse_unk = model.boolean_or("fuse_unk", false);
  options.ignore_merges = model.boolean_or("ignore_merges", false);
  return Bpe(std::move(ids), read_merges(model), options, model.where());
}

Unigram read_unigram(const JsonObject& model) {
  refuse_options(model);
  const std::string where = model.where() + ": vocab";
  const auto it = model.value().find("vocab");
  if (it == model.value().end() || !it->is_array() || it->empty())
    throw Error(where, "is missing or no list", "a list of [piece, score]");
  std::vector<std::pair<std::string, double>> pieces;
  pieces.reserve(it->size());
  for (const json& piece : *it) {
    if (!piece.is_array() || piece.size() != 2 || !piece[0].is_string() || !piece[1].is_number() ||
        !std::isfinite(piece[1].get<double>()))
      throw Error(where, "has " + shown(piece), "[piece, score]");
    pieces.emplace_back(piece[0].get<std::string>(), piece[1].get<double>());
  }
  return Unigram(std::move(pieces), model.integer("unk_id"), model.where());
}

// Files of older versions do not say the type.
std::string model_type(const JsonObject& model) {
  if (model.has("type")) return model.string("type");
  return model.has("merges") ? "BPE" : "Unigram";
}

TokenizerParts::Model read_model(const JsonObject& file) {
  const JsonObject model = file.object("model");
  const std::string type = model_type(model);
  if (type == "BPE") return read_bpe(model, added_count(file));
  if (type == "Unigram") return read_unigram(model);
  throw Error(model.where() + ": type", "is \"" + type + "\", which is not supported", "BPE or Unigram");
}

const TokenIds& ids_of(const TokenizerParts& parts) {
  const auto* bpe = std::get_if<Bpe>(&parts.model);
  return bpe != nullptr ? bpe->ids() : std::get<Unigram>(parts.model).ids();
}

AddedToken read_added_token(const JsonObject& item, const TokenIds& vocab, int64_t limit) {
  AddedToken token{.content = item.string("content"),
                   .id = static_cast<int32_t>(item.size("id", 0, limit - 1)),
                   .single_word = item.boolean_or("single_word", false),
                   .lstrip = item.boolean_or("lstrip", false),
                   .rstrip = item.boolean_or("rstrip", false),
                   .normalized = item.boolean_or("normalized", false)};
  if (token.content.empty()) throw Error(item.where() + ": content", "is empty", "a token");
  const auto known = vocab.find(token.content);
  if (known != vocab.end() && known->second != token.id) {
    throw Error(item.where() + ": id", "is " + std::to_string(token.id),
                "the vocabulary's id " + std::to_string(known->second));
  }
  return token;
}

void read_added_tokens(const JsonObject& file, TokenizerParts& parts) {
  const TokenIds& vocab = ids_of(parts);
  const std::string where = file.where() + ": added_tokens";
  const auto limit = static_cast<int64_t>(vocab.size() + added_count(file));
  std::vector<AddedToken> raw, normalized;
  TokenIds all = vocab;
  for (size_t i = 0; i < added_count(file); ++i) {
    const JsonObject item =
        JsonObject::parse(file.value().at("added_tokens")[i].dump(), where + "[" + std::to_string(i) + "]");
    AddedToken token = read_added_token(item, vocab, limit);
    if (!parts.special_ids.emplace(token.content, token.id).second)
      throw Error(where, "has '" + token.content + "' twice", "each token once");
    all.emplace(token.content, token.id);
    if (token.normalized) token.content = normalize(parts.normalizers, token.content);
    if (!token.content.empty()) (token.normalized ? normalized : raw).push_back(std::move(token));
  }
  check_ids(all, limit, where);
  for (const auto& entry : all) parts.vocab_size = std::max<int64_t>(parts.vocab_size, entry.second + 1);
  parts.raw_added = AddedTokens(std::move(raw));
  parts.normalized_added = AddedTokens(std::move(normalized));
}

// The id of a special token that a post-processor names; [text, id] in Bert's and Roberta's way of writing.
int32_t checked_id(const TokenizerParts& parts, const json& id, const std::string& where) {
  if (!id.is_number_integer() || id.get<int64_t>() < 0 || id.get<int64_t>() >= parts.vocab_size)
    throw Error(where, "has the id " + shown(id), "an id below " + std::to_string(parts.vocab_size));
  return id.get<int32_t>();
}

int32_t pair_id(const TokenizerParts& parts, const JsonObject& component, const std::string& key) {
  const auto it = component.value().find(key);
  if (it == component.value().end() || !it->is_array() || it->size() != 2)
    throw Error(component.where() + ": " + key, "is missing or no pair", "[token, id]");
  return checked_id(parts, (*it)[1], component.where() + ": " + key);
}

void read_template(const JsonObject& component, TokenizerParts& parts) {
  const auto single = component.value().find("single");
  if (single == component.value().end() || !single->is_array())
    throw Error(component.where() + ": single", "is missing or no list", "a list of Sequence and SpecialToken");
  const JsonObject specials = component.object("special_tokens");
  bool after_text = false;
  for (const json& piece : *single) {
    if (piece.is_object() && piece.contains("Sequence") && !after_text) {
      after_text = true;
      continue;
    }
    if (!piece.is_object() || !piece.contains("SpecialToken"))
      throw Error(component.where() + ": single", "has " + shown(piece), "one Sequence among SpecialTokens");
    const JsonObject special = JsonObject::parse(piece.dump(), component.where()).object("SpecialToken");
    const JsonObject entry = specials.object(special.string("id"));
    for (const int64_t id : entry.integers("ids"))
      (after_text ? parts.suffix : parts.prefix).push_back(checked_id(parts, json(id), entry.where()));
  }
  if (!after_text) throw Error(component.where() + ": single", "has no Sequence", "one Sequence among SpecialTokens");
}

void read_post_processor(const JsonObject& component, TokenizerParts& parts) {
  const std::string type = component.string("type");
  if (type == "BertProcessing" || type == "RobertaProcessing") {
    parts.prefix = {pair_id(parts, component, "cls")};
    parts.suffix = {pair_id(parts, component, "sep")};
  } else if (type == "TemplateProcessing") {
    read_template(component, parts);
  } else if (type != "ByteLevel") {  // which only moves offsets
    throw Error(component.where(), "the post-processor '" + type + "' is not supported",
                "BertProcessing, ByteLevel, RobertaProcessing or TemplateProcessing");
  }
}

}  // namespace

// The file's own truncation and padding do not count: the window is the caller's.
TokenizerParts load_tokenizer_json(const std::filesystem::path& path) {
  const JsonObject file = JsonObject::load(path);
  TokenizerParts parts(read_model(file));
  parts.normalizers = read_normalizers(file);
  parts.pre_tokenizers = read_pre_tokenizers(file);
  read_added_tokens(file, parts);
  if (file.has("post_processor")) read_post_processor(file.object("post_processor"), parts);
  return parts;
}

}  // namespace omni
