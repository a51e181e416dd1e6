#pragma once
#include <gtest/gtest.h>

#include <cstring>
#include <fstream>
#include <functional>
#include <map>
#include <memory>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "base/error.h"
#include "checkpoint/encoding.h"
#include "quant/codec.h"
#include "support/support.h"

namespace omni::testing {

// A checkpoint in memory that a test may change before it is written and opened.
struct StoredFixture {
  std::map<std::string, Tensor> tensors;
  nlohmann::json config;  // null: none

  // tests/golden/checkpoints/NAME. Values are copied, so that they can be changed.
  static StoredFixture load(const std::string& name) {
    StoredFixture out;
    const std::filesystem::path folder = golden("checkpoints/" + name);
    const std::unique_ptr<Checkpoint> file = open_safetensors(folder / "model.safetensors");
    for (const std::string& tensor : file->names()) {
      const Tensor stored = file->tensor(tensor);
      Tensor copy(stored.dtype(), stored.shape());
      std::memcpy(copy.raw(), stored.raw(), static_cast<size_t>(copy.bytes()));
      out.tensors[tensor] = copy;
    }
    std::ifstream text(folder / "config.json");
    out.config = nlohmann::json::parse(text).at("quantization_config");
    return out;
  }

  // A tensor of equal bits under a smaller or larger shape; new elements repeat the first ones.
  void reshape(const std::string& name, Shape shape) {
    const Tensor& from = tensors.at(name);
    Tensor out(from.dtype(), shape);
    for (int64_t i = 0; i < out.bytes(); ++i) out.raw()[i] = from.raw()[i % from.bytes()];
    tensors[name] = out;
  }

  template <class T>
  void set(const std::string& name, int64_t i, T value) {
    tensors.at(name).data<T>()[i] = value;
  }
};

// A fixture written and opened; the files live as long as this.
class OpenFixture {
 public:
  explicit OpenFixture(const StoredFixture& fixture) {
    std::vector<NamedTensor> tensors;
    for (const auto& [name, tensor] : fixture.tensors) tensors.push_back({name, tensor});
    write_safetensors(folder_.path() / "model.safetensors", tensors);
    checkpoint_ = open_safetensors(folder_.path() / "model.safetensors");
    if (!fixture.config.is_null()) {
      const nlohmann::json config = {{"quantization_config", fixture.config}};
      quantization_ = find_quantization_config(*checkpoint_, JsonObject::parse(config.dump(), "config.json"));
    }
    const JsonObject* metadata = quantization_ ? &*quantization_ : nullptr;
    stored_ = find_encoding(*checkpoint_, metadata).open(*checkpoint_, metadata);
  }
  const StoredWeights& stored() const { return *stored_; }
  int64_t check() const {
    check_headers(*checkpoint_, *stored_);
    return check_values(*stored_);
  }

 private:
  TemporaryFolder folder_;
  std::unique_ptr<Checkpoint> checkpoint_;
  std::optional<JsonObject> quantization_;
  std::unique_ptr<StoredWeights> stored_;
};

// The Error that opening and checking a fixture throws; "" when it is sound.
inline std::string message_of(const StoredFixture& fixture) {
  try {
    (void)OpenFixture(fixture).check();
  } catch (const Error& e) {
    return e.what();
  }
  return "";
}

// One thing broken in a sound fixture, and words that the message must contain.
struct Breakage {
  std::string what;
  std::function<void(StoredFixture&)> apply;
  std::vector<std::string> words;
};

inline void expect_refused(const StoredFixture& sound, const std::vector<Breakage>& table) {
  ASSERT_EQ(message_of(sound), "");
  for (const Breakage& damage : table) {
    StoredFixture broken = sound;
    for (auto& [name, tensor] : broken.tensors) {
      Tensor copy(tensor.dtype(), tensor.shape());
      std::memcpy(copy.raw(), tensor.raw(), static_cast<size_t>(copy.bytes()));
      tensor = copy;
    }
    damage.apply(broken);
    const std::string message = message_of(broken);
    EXPECT_NE(message, "") << damage.what << ": was accepted";
    for (const std::string& word : damage.words)
      EXPECT_NE(message.find(word), std::string::npos) << damage.what << ": '" << word << "' is not in: " << message;
  }
}

inline uint32_t bits_of(float value) {
  uint32_t bits = 0;
  std::memcpy(&bits, &value, sizeof bits);
  return bits;
}

// Every matrix of tests/golden/checkpoints/NAME decodes to the recorded values bit for bit.
inline void expect_golden(const std::string& name) {
  const OpenFixture fixture(StoredFixture::load(name));
  (void)fixture.check();
  const std::unique_ptr<Checkpoint> wanted = open_safetensors(golden("checkpoints/" + name) / "golden.safetensors");
  for (const std::string& tensor : wanted->names()) {
    const Tensor want = wanted->tensor(tensor);
    const std::string module = tensor.substr(0, tensor.size() - std::string(".weight").size());
    const std::optional<StoredWeight> stored = fixture.stored().describe(module);
    ASSERT_TRUE(stored.has_value()) << name << ": " << module;
    const Weight weight = fixture.stored().read(module);
    EXPECT_EQ(stored->scheme, weight.scheme) << module;
    ASSERT_EQ((Shape{weight.rows, weight.cols}), want.shape()) << module;
    const Tensor got = decode(weight);
    for (int64_t i = 0; i < want.shape().count(); ++i)
      ASSERT_EQ(bits_of(got.f32()[i]), bits_of(want.f32()[i]))
          << name << ": " << module << " (" << weight.scheme.text() << ") at [" << i / weight.cols << ", "
          << i % weight.cols << "]: " << got.f32()[i] << ", expected " << want.f32()[i];
  }
}

// The description and the canonical weight of one module agree with an encoded one, part by part.
inline void expect_same_weight(const Weight& got, const Weight& want) {
  EXPECT_EQ(got.scheme, want.scheme) << got.scheme.text() << " for " << want.scheme.text();
  const auto same = [](const Tensor& a, const Tensor& b, const char* part) {
    ASSERT_EQ(a.empty(), b.empty()) << part;
    if (a.empty()) return;
    ASSERT_EQ(a.bytes(), b.bytes()) << part;
    EXPECT_EQ(std::memcmp(a.raw(), b.raw(), static_cast<size_t>(a.bytes())), 0) << part << " differ";
  };
  same(got.codes, want.codes, "codes");
  same(got.scales, want.scales, "scales");
  same(got.outer_scales, want.outer_scales, "outer scales");
  same(got.zeros, want.zeros, "zeros");
}

}  // namespace omni::testing
