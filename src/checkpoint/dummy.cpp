#include "checkpoint/dummy.h"

#include "tensor/float_bits.h"

namespace omni {
namespace {

// SplitMix64 (Steele, Lea, Flood 2014): a bijection of 64 bits that passes for random.
uint64_t mix(uint64_t x) {
  x += 0x9e3779b97f4a7c15u;
  x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
  x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
  return x ^ (x >> 31);
}

uint64_t stream(uint64_t seed, std::string_view name) {
  uint64_t hash = mix(seed);
  for (const char c : name) hash = mix(hash ^ static_cast<unsigned char>(c));
  return hash;
}

// The sum of four random bytes has mean 510 and deviation 147.8; one hash serves two values.
float value_at(uint64_t hash_of_pair, int64_t i) {
  const auto half = static_cast<uint32_t>(hash_of_pair >> (32 * (i & 1)));
  const uint32_t sum = (half & 0xff) + ((half >> 8) & 0xff) + ((half >> 16) & 0xff) + (half >> 24);
  return (static_cast<float>(sum) - 510.0f) * (0.02f / 147.8f);
}

template <class Store>
void fill(uint64_t stream, int64_t count, Store store) {
  uint64_t hash = 0;
  for (int64_t i = 0; i < count; ++i) {
    if ((i & 1) == 0) hash = mix(stream + static_cast<uint64_t>(i));
    store(i, value_at(hash, i));
  }
}

}  // namespace

Tensor dummy_matrix(uint64_t seed, std::string_view name, int64_t rows, int64_t cols) {
  Tensor out(DType::kBF16, Shape{rows, cols});
  fill(stream(seed, name), rows * cols, [&](int64_t i, float v) { out.data<uint16_t>()[i] = f32_to_bf16(v); });
  return out;
}

Tensor dummy_tensor(uint64_t seed, std::string_view name, Shape shape) {
  Tensor out(DType::kF32, shape);
  const int64_t count = shape.count();
  if (shape.rank() == 1 && (name.ends_with(".weight") || name.ends_with(".bias"))) {
    const float value = name.ends_with(".weight") ? 1.0f : 0.0f;
    for (int64_t i = 0; i < count; ++i) out.f32()[i] = value;
  } else {
    fill(stream(seed, name), count, [&](int64_t i, float v) { out.f32()[i] = v; });
  }
  return out;
}

}  // namespace omni
