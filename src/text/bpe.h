#pragma once
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>
#include <unordered_map>
#include <utility>
#include <vector>

namespace omni {

// Lets maps of strings be searched by views.
struct ViewHash {
  using is_transparent = void;
  size_t operator()(std::string_view text) const { return std::hash<std::string_view>{}(text); }
};
using TokenIds = std::unordered_map<std::string, int32_t, ViewHash, std::equal_to<>>;

// Throws Error unless every id is in [0, limit) and stands once. where: the name it carries.
void check_ids(const TokenIds& ids, int64_t limit, const std::string& where);

// Byte-pair encoding: the pair of neighbours with the lowest rank is merged first, the leftmost of equals.
class Bpe {
 public:
  struct Options {
    std::string end_of_word_suffix;  // the last character of a word carries it
    std::string unk_token;           // stands for characters the vocabulary lacks; empty: they vanish
    bool fuse_unk = false;           // neighbouring unknown characters become one token
    bool ignore_merges = false;      // a word in the vocabulary is taken whole
  };

  // merges: best first. Throws Error (where) for a merge or unk_token that the vocabulary lacks.
  Bpe(TokenIds ids, const std::vector<std::pair<std::string, std::string>>& merges, const Options& options,
      const std::string& where);

  const TokenIds& ids() const { return ids_; }
  void encode(std::string_view word, std::vector<int32_t>& out) const;

 private:
  struct Merge {
    int32_t rank, id;
  };
  std::vector<int32_t> characters(std::string_view word) const;
  const Merge* find_merge(int32_t left, int32_t right) const;

  TokenIds ids_;
  std::unordered_map<uint64_t, Merge> merges_;  // by left id << 32 | right id
  Options options_;
  int32_t unk_id_ = -1;
};

}  // namespace omni
