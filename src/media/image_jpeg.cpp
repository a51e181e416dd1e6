#include <stdio.h>
// libjpeg's headers need FILE and size_t before them.
#include <jpeglib.h>

#include <jerror.h>
#include <setjmp.h>

#include <cstdlib>
#include <memory>

#include "base/error.h"
#include "media/image_codecs.h"

namespace omni {
namespace {

// libjpeg leaves by a long jump; everything that lives across it is in the structs below, and the functions that call
// setjmp hold no object with a destructor.
struct JpegErrors {
  jpeg_error_mgr manager;
  jmp_buf leave;
  char message[JMSG_LENGTH_MAX];
};

[[noreturn]] void leave(j_common_ptr common) {
  auto* errors = reinterpret_cast<JpegErrors*>(common->err);
  common->err->format_message(common, errors->message);
  longjmp(errors->leave, 1);
}

// Warnings that mean lost picture data end the decoding; the library would fill in grey.
void on_message(j_common_ptr common, int level) {
  if (level >= 0) return;
  switch (common->err->msg_code) {
    case JWRN_JPEG_EOF:
    case JWRN_HIT_MARKER:
    case JWRN_HUFF_BAD_CODE:
    case JWRN_ARITH_BAD_CODE:
      leave(common);
    default:
      return;
  }
}

void install(JpegErrors& errors) {
  jpeg_std_error(&errors.manager);
  errors.manager.error_exit = leave;
  errors.manager.emit_message = on_message;
  errors.message[0] = '\0';
}

struct Decoder {
  jpeg_decompress_struct jpeg{};
  jpeg_progress_mgr progress{};
  JpegErrors errors{};
  Decoder() { jpeg.err = &errors.manager; }
  ~Decoder() { jpeg_destroy_decompress(&jpeg); }
  Decoder(const Decoder&) = delete;
  Decoder& operator=(const Decoder&) = delete;
};

// A progressive picture of very many scans is an attack on time.
void limit_scans(j_common_ptr common) {
  constexpr int kMaxScans = 500;
  if (reinterpret_cast<j_decompress_ptr>(common)->input_scan_number > kMaxScans) {
    common->err->msg_code = JERR_BAD_PROGRESSION;
    leave(common);
  }
}

bool read_header(Decoder& decoder, const unsigned char* bytes, size_t size) {
  install(decoder.errors);
  if (setjmp(decoder.errors.leave) != 0) return false;
  jpeg_create_decompress(&decoder.jpeg);
  decoder.progress.progress_monitor = limit_scans;
  decoder.jpeg.progress = &decoder.progress;
  jpeg_mem_src(&decoder.jpeg, bytes, size);
  jpeg_read_header(&decoder.jpeg, TRUE);
  decoder.jpeg.out_color_space = JCS_RGB;
  return true;
}

bool read_rows(Decoder& decoder, unsigned char* rgb, size_t row_bytes) {
  if (setjmp(decoder.errors.leave) != 0) return false;
  jpeg_start_decompress(&decoder.jpeg);
  while (decoder.jpeg.output_scanline < decoder.jpeg.output_height) {
    unsigned char* row = rgb + decoder.jpeg.output_scanline * row_bytes;
    jpeg_read_scanlines(&decoder.jpeg, &row, 1);
  }
  jpeg_finish_decompress(&decoder.jpeg);
  return true;
}

struct Encoder {
  jpeg_compress_struct jpeg{};
  JpegErrors errors{};
  unsigned char* bytes = nullptr;
  unsigned long size = 0;
  Encoder() { jpeg.err = &errors.manager; }
  ~Encoder() {
    jpeg_destroy_compress(&jpeg);
    std::free(bytes);
  }
  Encoder(const Encoder&) = delete;
  Encoder& operator=(const Encoder&) = delete;
};

bool write_rows(Encoder& encoder, const Image& image, int quality) {
  install(encoder.errors);
  if (setjmp(encoder.errors.leave) != 0) return false;
  jpeg_compress_struct& jpeg = encoder.jpeg;
  jpeg_create_compress(&jpeg);
  jpeg_mem_dest(&jpeg, &encoder.bytes, &encoder.size);
  jpeg.image_width = static_cast<JDIMENSION>(image.width);
  jpeg.image_height = static_cast<JDIMENSION>(image.height);
  jpeg.input_components = 3;
  jpeg.in_color_space = JCS_RGB;
  jpeg_set_defaults(&jpeg);
  jpeg_set_quality(&jpeg, quality, TRUE);
  jpeg.comp_info[0].h_samp_factor = jpeg.comp_info[0].v_samp_factor = 1;  // colour at full resolution
  jpeg_start_compress(&jpeg, TRUE);
  while (jpeg.next_scanline < jpeg.image_height) {
    auto* row = const_cast<unsigned char*>(image.pixel(0, static_cast<int>(jpeg.next_scanline)));
    jpeg_write_scanlines(&jpeg, &row, 1);
  }
  jpeg_finish_compress(&jpeg);
  return true;
}

}  // namespace

std::string encode_jpeg(const Image& image, int quality) {
  const auto encoder = std::make_unique<Encoder>();
  if (!write_rows(*encoder, image, quality))
    throw Error("JPEG", std::string("cannot be encoded: ") + encoder->errors.message);
  return std::string(reinterpret_cast<const char*>(encoder->bytes), encoder->size);
}

Image decode_jpeg(std::string_view bytes, const std::string& where) {
  const auto decoder = std::make_unique<Decoder>();
  const auto failed = [&] {
    return Error(where, std::string("is a damaged JPEG: ") + decoder->errors.message, "a whole JPEG");
  };
  if (!read_header(*decoder, reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size())) throw failed();
  check_image_size(decoder->jpeg.image_width, decoder->jpeg.image_height, where);
  Image image =
      blank_image(static_cast<int>(decoder->jpeg.image_width), static_cast<int>(decoder->jpeg.image_height), 0, 0, 0);
  if (!read_rows(*decoder, image.rgb.data(), 3 * static_cast<size_t>(image.width))) throw failed();
  return image;
}

}  // namespace omni
