#pragma once
#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/bpe.h"

namespace omni {

// A unigram language model: of all ways to cut a word into pieces, the one with the largest sum of scores (Viterbi).
// A character that no piece covers costs the lowest score less 10; neighbouring unknown characters become one token.
class Unigram {
 public:
  // pieces: (text, score), the index is the id. Throws Error (where) for twins, and an unk_id outside the pieces.
  Unigram(std::vector<std::pair<std::string, double>> pieces, int64_t unk_id, const std::string& where);

  const TokenIds& ids() const { return ids_; }
  void encode(std::string_view word, std::vector<int32_t>& out) const;

 private:
  // Where the best cut that ends here begins, and its score.
  struct Node {
    double score = 0;
    int64_t begin = -1;
    int32_t id = 0;
  };
  bool reach_pieces(std::string_view word, size_t begin, size_t character, std::vector<Node>& nodes) const;

  TokenIds ids_;
  std::vector<std::pair<std::string, double>> pieces_;
  std::vector<int32_t> sorted_;  // ids by text, so that the pieces with a common prefix are neighbours
  double unk_score_ = 0;
  int32_t unk_id_ = 0;
};

}  // namespace omni
