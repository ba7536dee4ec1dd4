rockspec_format = "3.0"
package = "perilune"
version = "0.1.0-1"
source = { url = "perilune-0.1.0.tar.gz", dir = "perilune-0.1.0" } -- git archive --prefix=perilune-0.1.0/
description = {
  summary = "Tensors, automatic differentiation, networks and kernel SVMs",
  detailed = [[
A numerical runtime in C: tensors, automatic differentiation, layers, losses, optimisers and kernel SVMs. It starts in
milliseconds and gives the same bits with any number of threads.]],
  license = "MIT",
  labels = { "tensor", "neural-network", "svm", "machine-learning" },
}
supported_platforms = { "linux" }
dependencies = { "lua ~> 5.4" }
external_dependencies = { ZLIB = { header = "zlib.h" }, PNG = { header = "png.h" } }
build = {
  type = "command",
  build_command = "cmake -S . -B build-rock -DCMAKE_BUILD_TYPE=Release -DPERILUNE_TESTS=OFF"
    .. " && cmake --build build-rock --target perilune_module -j 2",
  install = { lib = { perilune = "build-rock/perilune.so" } },
}
