-- The option augment of data.loader as a table: what is done to the images of a mini-batch, one after the other.
local peri, internal = ...
local check = internal.check
local kinds = check.kinds

local PIXELS = check.test("pixels, or {rows, columns}", function(v)
  if type(v) ~= "table" then return math.type(v) and v >= 0 and v % 1 == 0 end
  return #v == 2 and math.type(v[1]) and math.type(v[2]) and v[1] >= 0 and v[2] >= 0 and v[1] % 1 == 0 and v[2] % 1 == 0
end)
local OPTIONS = {
  crop = check.test("a table {size =, padding = 0}", function(v) return type(v) == "table" and v.size ~= nil end),
  flip = check.test("true or a chance from 0 to 1", function(v)
    return type(v) == "boolean" or math.type(v) and v >= 0 and v <= 1
  end),
  rotate = check.test("degrees from 0 to 360", function(v) return math.type(v) and v >= 0 and v <= 360 end),
  shift = PIXELS, noise = kinds.from_zero, value = kinds.finite,
}
local CROP = { size = PIXELS, padding = check.whole_from(0) }

-- f(x, generator) for the options.
return function(given)
  local o = check.options("loader: augment", given, OPTIONS)
  local crop = o.crop and check.options("loader: augment.crop", o.crop, CROP)
  local value, chance = o.value or 0, o.flip == true and 0.5 or o.flip
  return function(x, generator)
    if crop then
      x = peri.random_crop(x, crop.size, { padding = crop.padding or 0, value = value, generator = generator })
    end
    if chance then x = peri.random_flip(x, { p = chance, generator = generator }) end
    if o.rotate then x = peri.random_rotate(x, o.rotate, { value = value, generator = generator }) end
    if o.shift then x = peri.random_shift(x, o.shift, { value = value, generator = generator }) end
    if o.noise then x = x + peri.randn_like(x, { generator = generator }):mul_(o.noise) end
    return x
  end
end
