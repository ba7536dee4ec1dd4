-- The folder with MNIST (PERILUNE_MNIST), or one with generated digits in its place; and what is in it.
local peri = require "perilune"
local data = peri.data

return function()
  local folder = os.getenv "PERILUNE_MNIST"
  if folder then return folder, "MNIST" end
  folder = os.tmpname()
  os.remove(folder)
  assert(require("support.internal").process.mkdir(folder))
  for prefix, n in pairs { train = 60000, t10k = 10000 } do
    local x, y = data.digits(n, { seed = n })
    data.write_idx(folder .. "/" .. prefix .. "-images-idx3-ubyte", (x * 255):round():to("uint8"):view(n, 28, 28))
    data.write_idx(folder .. "/" .. prefix .. "-labels-idx1-ubyte", (y - 1):to("uint8"))
  end
  return folder, "generated digits"
end
