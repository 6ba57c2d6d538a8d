#include "store/object_key.h"

namespace hearth::store {

Sha256 object_key(const gguf::PackObject& object, std::span<const std::byte> bytes) {
  Sha256Stream stream;
  stream.update("hearth tensor 1\n");
  stream.update(std::as_bytes(std::span(&object.layout, 1)));
  stream.update(std::as_bytes(std::span(&object.dtype, 1)));
  stream.update(std::as_bytes(std::span(object.dims)));
  stream.update(bytes);
  return stream.finish();
}

Sha256 pack_id(std::span<const gguf::PackObject> objects) {
  Sha256Stream stream;
  stream.update(std::as_bytes(objects));
  return stream.finish();
}

}  // namespace hearth::store
