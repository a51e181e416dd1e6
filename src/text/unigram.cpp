#include "text/unigram.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "base/error.h"
#include "text/unicode.h"

namespace omni {

Unigram::Unigram(std::vector<std::pair<std::string, double>> pieces, int64_t unk_id, const std::string& where)
    : pieces_(std::move(pieces)) {
  constexpr double kUnknownPenalty = 10.0;
  if (unk_id < 0 || unk_id >= static_cast<int64_t>(pieces_.size())) {
    throw Error(where + ": unk_id", "is " + std::to_string(unk_id),
                "an id below the vocabulary size " + std::to_string(pieces_.size()));
  }
  unk_id_ = static_cast<int32_t>(unk_id);
  double lowest = std::numeric_limits<double>::infinity();
  for (size_t id = 0; id < pieces_.size(); ++id) {
    const auto& [text, score] = pieces_[id];
    if (!ids_.emplace(text, static_cast<int32_t>(id)).second)
      throw Error(where + ": vocab", "has the piece '" + text + "' twice", "each piece once");
    lowest = std::min(lowest, score);
  }
  unk_score_ = lowest - kUnknownPenalty;
  sorted_.resize(pieces_.size());
  std::iota(sorted_.begin(), sorted_.end(), 0);
  std::sort(sorted_.begin(), sorted_.end(), [&](int32_t a, int32_t b) {
    return pieces_[static_cast<size_t>(a)].first < pieces_[static_cast<size_t>(b)].first;
  });
}

// Extends the best cut at `begin` by every piece that stands there; says whether one covers just the character.
bool Unigram::reach_pieces(std::string_view word, size_t begin, size_t character, std::vector<Node>& nodes) const {
  bool covered = false;
  auto low = sorted_.begin(), high = sorted_.end();
  const auto text_of = [&](int32_t id) -> const std::string& { return pieces_[static_cast<size_t>(id)].first; };
  for (size_t length = 1; begin + length <= word.size() && low != high; ++length) {
    // [low, high) share the first length - 1 bytes; keep those with the next byte too.
    const auto byte = static_cast<unsigned char>(word[begin + length - 1]);
    const auto byte_of = [&](int32_t id) {
      const std::string& text = text_of(id);
      return text.size() < length ? -1 : static_cast<int>(static_cast<unsigned char>(text[length - 1]));
    };
    low = std::partition_point(low, high, [&](int32_t id) { return byte_of(id) < byte; });
    high = std::partition_point(low, high, [&](int32_t id) { return byte_of(id) == byte; });
    if (low == high || text_of(*low).size() != length) continue;
    const double score = pieces_[static_cast<size_t>(*low)].second + nodes[begin].score;
    Node& end = nodes[begin + length];
    if (end.begin < 0 || score > end.score) end = Node{score, static_cast<int64_t>(begin), *low};
    covered = covered || length == character;
  }
  return covered;
}

void Unigram::encode(std::string_view word, std::vector<int32_t>& out) const {
  std::vector<Node> nodes(word.size() + 1);
  for (size_t begin = 0; begin < word.size();) {
    const size_t character = first_code_point(word.substr(begin)).bytes;
    if (!reach_pieces(word, begin, character, nodes)) {
      const double score = unk_score_ + nodes[begin].score;
      Node& end = nodes[begin + character];
      if (end.begin < 0 || score > end.score) end = Node{score, static_cast<int64_t>(begin), unk_id_};
    }
    begin += character;
  }
  std::vector<int32_t> reversed;
  for (size_t end = word.size(); end > 0; end = static_cast<size_t>(nodes[end].begin)) {
    const int32_t id = nodes[end].id;
    if (id != unk_id_ || reversed.empty() || reversed.back() != unk_id_) reversed.push_back(id);
  }
  out.insert(out.end(), reversed.rbegin(), reversed.rend());
}

}  // namespace omni
