-- The twins: for each row of the operation table the same in plain Lua, written from its documentation.
--
-- An entry is {twin, cases, close =, moves =, check =, contiguous =}, by the row's name, in the file of its subject:
--   twin        f(p, stream): p has the row's arguments by name, tensors as arrays (support/array.lua), nil what was
--               left out. It gives arrays, or a number or boolean where the row does, and calls array.refuse() where
--               the row must raise. stream is of the seed, for random rows (twins/random.lua)
--   cases       argument lists beside the row's own `sample`, in its language (support/samples.lua)
--   close       float results are compared within the dtype's tolerance: "each" (or true) relative to the element,
--               "all" relative to the largest of inputs and result. Without it they are the twin's, rounded once
--   moves       elements are moved: signs of zeros are compared, too
--   check       f(p, close, ...) compares the results by what defines them; the twin then says only what is refused
--   contiguous  the row refuses views whose elements it cannot reach in the new shape
local twins = {}

for _, subject in ipairs {
  "create", "elementwise", "reduce", "scan", "order", "matrix", "convolution", "view", "index", "loss", "random",
  "pool", "normalize", "image", "augment", "arrange", "products", "norms", "linalg", "special", "bits",
  "embedding", "recurrent", "attention",
} do
  local rows = require("support.twins." .. subject)
  for name, entry in pairs(rows.rows or rows) do
    assert(twins[name] == nil, name .. " has two twins")
    twins[name] = entry
  end
end

return twins
