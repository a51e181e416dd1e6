#include "text/bpe.h"

#include <queue>
#include <tuple>

#include "base/error.h"
#include "text/unicode.h"

namespace omni {
namespace {

uint64_t pair_key(int32_t left, int32_t right) {
  return static_cast<uint64_t>(static_cast<uint32_t>(left)) << 32 | static_cast<uint32_t>(right);
}

int32_t id_of(const TokenIds& ids, const std::string& token, const std::string& what, const std::string& where) {
  const auto it = ids.find(token);
  if (it == ids.end()) throw Error(where, what + " needs the token '" + token + "'", "a token of the vocabulary");
  return it->second;
}

}  // namespace

void check_ids(const TokenIds& ids, int64_t limit, const std::string& where) {
  std::vector<const std::string*> owners(static_cast<size_t>(limit), nullptr);
  for (const auto& [token, id] : ids) {
    if (id < 0 || id >= limit) {
      throw Error(where, "gives '" + token + "' the id " + std::to_string(id),
                  "ids below the vocabulary size " + std::to_string(limit));
    }
    const std::string*& owner = owners[static_cast<size_t>(id)];
    if (owner != nullptr) {
      throw Error(where, "gives the id " + std::to_string(id) + " to '" + *owner + "' and to '" + token + "'",
                  "each id once");
    }
    owner = &token;
  }
}

Bpe::Bpe(TokenIds ids, const std::vector<std::pair<std::string, std::string>>& merges, const Options& options,
         const std::string& where)
    : ids_(std::move(ids)), options_(options) {
  if (!options_.unk_token.empty()) unk_id_ = id_of(ids_, options_.unk_token, "unk_token", where);
  merges_.reserve(merges.size());
  int32_t rank = 0;
  for (const auto& [left, right] : merges) {
    const std::string what = "merge '" + left + " " + right + "'";
    const uint64_t key = pair_key(id_of(ids_, left, what, where), id_of(ids_, right, what, where));
    merges_[key] = Merge{rank++, id_of(ids_, left + right, what, where)};
  }
}

const Bpe::Merge* Bpe::find_merge(int32_t left, int32_t right) const {
  const auto it = merges_.find(pair_key(left, right));
  return it == merges_.end() ? nullptr : &it->second;
}

std::vector<int32_t> Bpe::characters(std::string_view word) const {
  std::vector<int32_t> symbols;
  bool after_unknown = false;
  while (!word.empty()) {
    const size_t bytes = first_code_point(word).bytes;
    std::string character(word.substr(0, bytes));
    word.remove_prefix(bytes);
    if (word.empty()) character += options_.end_of_word_suffix;
    const auto it = ids_.find(character);
    const bool known = it != ids_.end();
    if (known) {
      symbols.push_back(it->second);
    } else if (unk_id_ >= 0 && !(after_unknown && options_.fuse_unk)) {
      symbols.push_back(unk_id_);
    }
    after_unknown = !known;
  }
  return symbols;
}

void Bpe::encode(std::string_view word, std::vector<int32_t>& out) const {
  if (options_.ignore_merges) {
    if (const auto it = ids_.find(word); it != ids_.end()) {
      out.push_back(it->second);
      return;
    }
  }
  struct Symbol {
    int32_t id, before, after;  // neighbours by index, -1 at the ends
    bool gone;
  };
  std::vector<Symbol> symbols;
  for (const int32_t id : characters(word)) {
    const auto at = static_cast<int32_t>(symbols.size());
    symbols.push_back({id, at - 1, at + 1, false});
  }
  if (symbols.empty()) return;
  symbols.back().after = -1;

  using Candidate = std::tuple<int32_t, int32_t, int32_t>;  // rank, index of the left symbol, id of the merged one
  std::priority_queue<Candidate, std::vector<Candidate>, std::greater<>> queue;
  const auto offer = [&](int32_t left) {
    if (left < 0 || symbols[static_cast<size_t>(left)].after < 0) return;
    const Symbol& symbol = symbols[static_cast<size_t>(left)];
    const Merge* merge = find_merge(symbol.id, symbols[static_cast<size_t>(symbol.after)].id);
    if (merge != nullptr) queue.emplace(merge->rank, left, merge->id);
  };
  for (size_t i = 0; i + 1 < symbols.size(); ++i) offer(static_cast<int32_t>(i));
  while (!queue.empty()) {
    const auto [rank, at, id] = queue.top();
    queue.pop();
    Symbol& left = symbols[static_cast<size_t>(at)];
    if (left.gone || left.after < 0) continue;
    Symbol& right = symbols[static_cast<size_t>(left.after)];
    const Merge* merge = find_merge(left.id, right.id);
    if (merge == nullptr || merge->id != id) continue;  // a neighbour has changed since
    right.gone = true;
    left.id = id;
    left.after = right.after;
    if (left.after >= 0) symbols[static_cast<size_t>(left.after)].before = at;
    offer(left.before);
    offer(at);
  }
  for (const Symbol& symbol : symbols) {
    if (!symbol.gone) out.push_back(symbol.id);
  }
}

}  // namespace omni
