#pragma once
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <fstream>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/error.h"
#include "checkpoint/encoding.h"
#include "quant/codec.h"
#include "support/support.h"

namespace omni::testing {

template <class T>
Tensor tensor_of(DType dtype, Shape shape, const std::vector<T>& values) {
  Tensor out(dtype, shape);
  EXPECT_EQ(static_cast<size_t>(out.bytes()), values.size() * sizeof(T));
  std::memcpy(out.raw(), values.data(), values.size() * sizeof(T));
  return out;
}
inline Tensor text_of(std::string_view text) {
  return tensor_of(DType::kU8, Shape{static_cast<int64_t>(text.size())}, std::vector<char>(text.begin(), text.end()));
}

// The text of an Error, or "" when f throws none.
template <class F>
std::string refusal_of(F&& f) {
  try {
    f();
  } catch (const Error& error) {
    return error.what();
  }
  return "";
}

// A few tensors and a quantization_config, to be changed by a test and then opened as a checkpoint on disk.
struct SmallCheckpoint {
  std::vector<NamedTensor> tensors;
  std::string config;                // of the component; "" is {}
  std::string file = "config.json";  // where it lies: another name for tools that write one of their own
  std::vector<std::pair<std::string, std::string>> metadata = {};

  // tests/golden/checkpoints/NAME, its tensors copied.
  static SmallCheckpoint load(const std::string& name) {
    const std::filesystem::path folder = golden("checkpoints") / name;
    SmallCheckpoint out;
    const auto checkpoint = open_safetensors(folder);
    for (const std::string& tensor : checkpoint->names()) {
      const Tensor from = checkpoint->tensor(tensor);
      Tensor copy(from.dtype(), from.shape());
      std::memcpy(copy.raw(), from.raw(), static_cast<size_t>(from.bytes()));
      out.tensors.push_back({tensor, copy});
    }
    std::ifstream text(folder / "config.json");
    out.config.assign(std::istreambuf_iterator<char>(text), {});
    return out;
  }

  NamedTensor& named(std::string_view suffix) {
    return *std::ranges::find_if(tensors, [&](const NamedTensor& t) { return t.name.ends_with(suffix); });
  }
  Tensor& at(std::string_view suffix) { return named(suffix).tensor; }
  void drop(std::string_view suffix) {
    std::erase_if(tensors, [&](const NamedTensor& t) { return t.name.ends_with(suffix); });
  }
  // Replaces words of the config; a test that looks for words that are not there fails.
  void edit(std::string_view from, std::string_view to) {
    const size_t found = config.find(from);
    if (found == std::string::npos) ADD_FAILURE() << from << " is not in " << config;
    if (found != std::string::npos) config.replace(found, from.size(), to);
  }
};

// A SmallCheckpoint on disk, found, opened and checked: throws what the encoding throws.
class OpenedCheckpoint {
 public:
  explicit OpenedCheckpoint(const SmallCheckpoint& small) {
    write_safetensors(folder_.path() / "model.safetensors", small.tensors, small.metadata);
    if (small.file != "config.json") write("config.json", "{}");
    write(small.file, small.config.empty() ? "{}" : small.config);
    checkpoint_ = open_safetensors(folder_.path());
    config_ = find_quantization_config(*checkpoint_, JsonObject::load(folder_.path() / "config.json"));
    encoding = &find_encoding(*checkpoint_, config_ ? &*config_ : nullptr);
    stored = encoding->open(*checkpoint_, config_ ? &*config_ : nullptr);
    check_headers(*checkpoint_, *stored);
    quantized = check_values(*stored);
  }
  // Of the only weight, or a named one; what is read must be what was described.
  Weight read(std::string_view name = "") const {
    const std::string own = name.empty() ? stored->weights().at(0) : std::string(name);
    const std::optional<StoredWeight> described = stored->describe(own);
    Weight out = stored->read(own);
    EXPECT_EQ(out.scheme, described->scheme) << out.scheme.text() << " read, described " << described->scheme.text();
    EXPECT_EQ(out.rows, described->rows);
    EXPECT_EQ(out.cols, described->cols);
    return out;
  }
  const Encoding* encoding = nullptr;
  std::unique_ptr<StoredWeights> stored;
  int64_t quantized = 0;

 private:
  void write(const std::string& name, const std::string& text) const { std::ofstream(folder_.path() / name) << text; }
  TemporaryFolder folder_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::optional<JsonObject> config_;
};

inline std::string refusal(const SmallCheckpoint& small) {
  return refusal_of([&] { OpenedCheckpoint opened(small); });
}

// got must begin with want, bit for bit.
inline void expect_bits(const Tensor& got, const Tensor& want) {
  ASSERT_EQ(got.cols(), want.cols());
  for (int64_t row = 0; row < want.rows(); ++row) {
    for (int64_t col = 0; col < want.cols(); ++col) {
      const float *g = got.f32() + row * got.cols() + col, *w = want.f32() + row * want.cols() + col;
      ASSERT_EQ(std::memcmp(g, w, sizeof(float)), 0) << *g << " is not " << *w << " at " << Shape{row, col}.text();
    }
  }
}
inline void expect_golden(const std::string& name, std::string_view scheme, std::string_view method) {
  const OpenedCheckpoint opened(SmallCheckpoint::load(name));
  EXPECT_EQ(opened.stored->method(), method);
  EXPECT_EQ(opened.quantized, 1);
  const Weight weight = opened.read();
  EXPECT_EQ(weight.scheme.text(), scheme) << name;
  expect_bits(decode(weight), read_npy(golden("checkpoints") / name / "deq.npy"));
}

// What is broken, and the words its refusal must have.
struct Damage {
  const char* what;
  void (*apply)(SmallCheckpoint&);
  std::vector<const char*> words;
};
inline void expect_refusals(const SmallCheckpoint& sound, const std::vector<Damage>& damages) {
  EXPECT_EQ(refusal(sound), "") << "before any damage";
  for (const Damage& damage : damages) {
    SmallCheckpoint broken = sound;
    for (NamedTensor& t : broken.tensors) {  // tensors share their bytes
      Tensor copy(t.tensor.dtype(), t.tensor.shape());
      std::memcpy(copy.raw(), t.tensor.raw(), static_cast<size_t>(copy.bytes()));
      t.tensor = copy;
    }
    damage.apply(broken);
    const std::string text = refusal(broken);
    EXPECT_NE(text, "") << damage.what << " loads";
    for (const char* word : damage.words)
      EXPECT_NE(text.find(word), std::string::npos) << damage.what << ": no '" << word << "' in: " << text;
  }
}

// Packs codes [count][columns] down columns of 32-bit words, bit by bit.
inline Tensor pack_columns(const std::vector<std::vector<int>>& codes, int bits) {
  const auto columns = static_cast<int64_t>(codes[0].size());
  const auto words = (static_cast<int64_t>(codes.size()) * bits + 31) / 32;
  Tensor out(DType::kI32, Shape{words, columns});
  std::memset(out.raw(), 0, static_cast<size_t>(out.bytes()));
  for (size_t k = 0; k < codes.size(); ++k) {
    for (size_t n = 0; n < codes[k].size(); ++n) {
      for (int bit = 0; bit < bits; ++bit) {
        const int64_t place = static_cast<int64_t>(k) * bits + bit;
        const uint32_t value = static_cast<uint32_t>(codes[k][n]) >> bit & 1u;
        out.data<uint32_t>()[place / 32 * columns + static_cast<int64_t>(n)] |= value << (place % 32);
      }
    }
  }
  return out;
}
inline std::vector<std::vector<int>> turned(const std::vector<std::vector<int>>& matrix) {
  std::vector<std::vector<int>> out(matrix[0].size(), std::vector<int>(matrix.size()));
  for (size_t i = 0; i < matrix.size(); ++i)
    for (size_t j = 0; j < matrix[0].size(); ++j) out[j][i] = matrix[i][j];
  return out;
}
// The same along rows: [rows][count].
inline Tensor pack_rows(const std::vector<std::vector<int>>& codes, int bits) {
  const Tensor columns = pack_columns(turned(codes), bits);
  Tensor out(DType::kI32, Shape{columns.cols(), columns.rows()});
  for (int64_t row = 0; row < out.rows(); ++row)
    for (int64_t col = 0; col < out.cols(); ++col)
      out.data<uint32_t>()[row * out.cols() + col] = columns.data<uint32_t>()[col * columns.cols() + row];
  return out;
}
// Codes that look random: [rows][cols] below limit.
inline std::vector<std::vector<int>> some_codes(size_t rows, size_t cols, int limit, int seed = 1) {
  std::vector<std::vector<int>> out(rows, std::vector<int>(cols));
  uint32_t state = 12345u + static_cast<uint32_t>(seed);
  for (std::vector<int>& row : out) {
    for (int& code : row) {
      state = state * 1664525u + 1013904223u;
      code = static_cast<int>((state >> 16) % static_cast<uint32_t>(limit));
    }
  }
  return out;
}

}  // namespace omni::testing
