#include "checkpoint/bnb_state.h"

#include <array>
#include <cmath>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/json.h"
#include "checkpoint/stored_parts.h"

namespace omni {
namespace {

constexpr int64_t kLongest = 4096;
constexpr int64_t kLargest = int64_t{1} << 24;
constexpr std::array<std::pair<std::string_view, DType>, 2> kTypes = {{{"fp4", DType::kFP4BNB}, {"nf4", DType::kNF4}}};

bool is_power_of_two(int64_t value) {
  return (value & (value - 1)) == 0;
}

BnbState parse_state(const Checkpoint& checkpoint, const std::string& tensor, std::string_view type, DType codes) {
  check_dtype(checkpoint, tensor, {DType::kU8});
  const std::string where = tensor_where(checkpoint, tensor);
  const int64_t bytes = checkpoint.find(tensor)->shape.count();
  if (bytes > kLongest) throw Error(where, "is " + std::to_string(bytes) + " bytes long", "a short JSON object");
  const Tensor text = checkpoint.tensor(tensor);
  const JsonObject object = JsonObject::parse({text.data<char>(), static_cast<size_t>(bytes)}, where);
  if (const std::string said = object.string_or("quant_type", type); said != type)
    throw Error(where + ": quant_type", "is \"" + said + "\"", std::string(type) + ", as the tensor's name says");
  BnbState out;
  out.tensor = tensor;
  out.codes = codes;
  out.block = object.size("blocksize", 1, 1 << 16);
  if (!is_power_of_two(out.block))
    throw Error(where + ": blocksize", "is " + std::to_string(out.block), "a power of two");
  const std::vector<int64_t> shape = object.integers("shape");
  if (shape.size() != 2 || shape[0] < 1 || shape[1] < 1 || shape[0] > kLargest || shape[1] > kLargest)
    throw Error(where + ": shape", "is not that of a matrix", "[rows, columns]");
  out.rows = shape[0];
  out.cols = shape[1];
  if (out.cols % 2 != 0)
    throw Error(where + ": shape", "has " + std::to_string(out.cols) + " columns, so that rows share bytes",
                "an even number");
  out.nested = object.has("nested_blocksize");
  if (!out.nested) return out;
  out.nested_block = object.size("nested_blocksize", 1, 1 << 16);
  out.nested_offset = static_cast<float>(object.number("nested_offset"));
  if (!std::isfinite(out.nested_offset)) throw Error(where + ": nested_offset", "is not finite", "a finite number");
  return out;
}

}  // namespace

std::optional<BnbState> read_bnb_state(const Checkpoint& checkpoint, std::string_view weight) {
  for (const auto& [type, codes] : kTypes) {
    const std::string tensor = std::string(weight) + ".quant_state.bitsandbytes__" + std::string(type);
    if (checkpoint.find(tensor) != nullptr) return parse_state(checkpoint, tensor, type, codes);
  }
  return std::nullopt;
}

}  // namespace omni
