#!/bin/sh
# Installs the packages of an image, by the locks beside this file, with the pip that comes first in PATH:
#
#   install.sh web | cpu | cuda | vulkan
#
# EXTRAS (all of them): s3 (STORAGE), redis (BROKER_URL), oidc (OIDC_ISSUER), otel (OTEL_EXPORTER_OTLP_ENDPOINT); "" for none.
# REFERENCE=0 (workers) leaves out the original realesrgan package. TORCH_INDEX_URL (cpu, vulkan): PyTorch's index of CPU
# wheels, see "Get started" on pytorch.org; TORCH_SHA256 pins its wheel, which the locks cannot know.
set -eu
locks=$(cd "$(dirname "$0")/locks" && pwd)

locked() {
  name=$1
  shift
  pip install --require-hashes "$@" --requirement "$locks/$name.txt"
}

torch_for_cpus() {
  if [ -z "${TORCH_INDEX_URL:-}" ]; then
    echo "Note: without TORCH_INDEX_URL torch comes with NVIDIA's libraries; the image is some gigabytes larger." >&2
    locked torch-cuda
    return
  fi
  version=$(sed -n 's/^torch==\([^ ;]*\).*/\1/p' "$locks/torch-cuda.txt")
  wanted=$(mktemp)
  echo "torch==$version${TORCH_SHA256:+ --hash=sha256:$TORCH_SHA256}" >"$wanted"
  pip install --no-deps --index-url "$TORCH_INDEX_URL" --requirement "$wanted"
  rm "$wanted"
  locked worker
}

case "${1:-}" in
  web) locked web ;;
  cpu) torch_for_cpus ;;
  cuda) locked torch-cuda ;;
  vulkan)
    torch_for_cpus
    locked vulkan
    ;;
  *)
    echo "usage: install.sh web|cpu|cuda|vulkan" >&2
    exit 2
    ;;
esac

for extra in ${EXTRAS-s3 redis oidc otel}; do locked "$extra"; done

if [ "$1" != web ]; then
  locked families --no-deps # networks of other families, without the torchvision that spandrel asks for
  if [ "${REFERENCE:-1}" = 1 ]; then
    locked reference-build
    locked reference --no-deps --no-build-isolation
  fi
fi
