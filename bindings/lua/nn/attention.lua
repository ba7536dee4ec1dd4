-- Attention and transformers: modules made of others. They are classes of nn.Module.extend, whose constructors read
-- their arguments as those of layers in C are read, and which print and fail as these do.
local peri, internal, nn = ...
local check = internal.check
local kinds = check.kinds
local describe = check.describe

-- ---- what the classes share ----

local SHARE = check.test("0 to 1", function(v) return math.type(v) ~= nil and v >= 0 and v <= 1 end, kinds.number)
local FLOATS = check.one_of "float32 float64"
local MASK = check.test("a tensor of bools or floats", function(v)
  return peri.is_tensor(v) and (v.dtype == "bool" or v.dtype:find "^float" ~= nil)
end)

-- "64, 4, {dropout = 0.1}": what a module was made with, without what is the default.
local function text_of(sizes, options, rows)
  local parts, named = { table.unpack(sizes) }, {}
  for _, row in ipairs(rows) do
    local name, default = row[1], row[3]
    if options[name] ~= default then
      local value = options[name]
      named[#named + 1] = ("%s = %s"):format(name, type(value) == "string" and ("%q"):format(value) or value)
    end
  end
  if #named > 0 then parts[#parts + 1] = ("{%s}"):format(table.concat(named, ", ")) end
  return table.concat(parts, ", ")
end

-- The class `name`, made with whole numbers of those names and options {name, kind, default} in order; nn[name] calls
-- make(object, sizes, options).
local function define(name, sizes, rows, make, doc)
  local class = nn.Module.extend(name, { replays = true })
  rows[#rows + 1] = { "dtype", FLOATS, "float32" }
  local known = {}
  for _, row in ipairs(rows) do known[row[1]] = row[2] end
  function class:init(given, options)
    for i, size in ipairs(sizes) do self[size] = given[i] end
    for _, row in ipairs(rows) do
      if row[1] ~= "dtype" then self[row[1]] = options[row[1]] end
    end
    local text = text_of(given, options, rows)
    self.extra_repr = function() return text end
    self.made_with = { given, options }
    make(self, options)
  end
  internal.document(name, doc, function(...)
    local given, count = { ... }, select("#", ...)
    if count > #sizes + 1 then
      check.fail("%s: too many arguments: %s was not expected", name, describe((select(#sizes + 2, ...))))
    end
    local numbers = {}
    for i, size in ipairs(sizes) do numbers[i] = check.whole(name, size, given[i], 1) end
    local options = check.options(name, given[#sizes + 1], known)
    for _, row in ipairs(rows) do
      if options[row[1]] == nil then options[row[1]] = row[3] end
    end
    return class(numbers, options)
  end, nn)
  return class
end

-- Raises what is wrong in a pass, with the way to the module.
local function fail(module, message, ...)
  local path, name = internal.nn.path(module), nn.type(module)
  check.fail("%s: %s", path == "" and name or path .. " " .. name, message:format(...))
end

-- The options of a pass, a trailing table of masks and flags.
local function read_pass(module, options, known)
  return check.options(nn.type(module), options, known)
end

local function check_input(module, name, x, features)
  if not peri.is_tensor(x) then check.must_be(nn.type(module), name, x, "a tensor") end
  if not x.dtype:find "^float" then fail(module, "%s is %s (expected float32 or float64)", name, x.dtype) end
  if x:dim() ~= 2 and x:dim() ~= 3 or x.shape[x:dim()] ~= features then
    local order = module.batch_first and "batch x steps" or "steps x batch"
    fail(module, "%s is %s (expected %s x %d, or steps x %d alone)", name, check.shape(x), order, features, features)
  end
end

local function no_more(module, ...)
  if select("#", ...) > 0 then
    check.fail("%s: too many arguments: %s was not expected", nn.type(module), describe((...)))
  end
end

-- ---- masks ----

-- A mask that is true where nothing may be taken, or is added, as one that scaled_dot_product_attention takes: of two
-- such.
local function joined(a, b, dtype)
  if not a or not b then
    local mask = a or b
    if mask and mask.dtype ~= "bool" then return mask:to(dtype) end
    return mask and ~mask
  end
  if a.dtype == "bool" and b.dtype == "bool" then return ~(a | b) end
  local function added(mask)
    if mask.dtype ~= "bool" then return mask:to(dtype) end
    return peri.zeros_like(mask, { dtype = dtype }):masked_fill(mask, -math.huge)
  end
  return added(a) + added(b)
end

-- ---- attention ----

local function attend(self, query, key, value, options)
  local heads, E = self.num_heads, self.embed_dim
  local same = key == query and value == query and self.in_proj_weight
  local batched = query:dim() == 3
  local first = self.batch_first and batched
  local queries, batch = query.shape[first and 2 or 1], batched and query.shape[first and 1 or 2] or 1
  local keys = key.shape[first and 2 or 1]
  local parts = {}
  -- batch x heads x steps x size, a view
  local function by_heads(y, steps)
    if first then return y:reshape(batch, steps, heads, E // heads):permute(1, 3, 2, 4) end
    return y:reshape(steps, batch, heads, E // heads):permute(2, 3, 1, 4)
  end
  if same then
    local all = peri.linear(query, self.in_proj_weight, self.in_proj_bias)
    local last = all:dim()
    for i = 1, 3 do parts[i] = by_heads(all:narrow(last, (i - 1) * E + 1, E), queries) end
  else
    local separate = { self.q_proj_weight, self.k_proj_weight, self.v_proj_weight }
    for i, x in ipairs { query, key, value } do
      local weight = separate[i] or self.in_proj_weight:narrow(1, (i - 1) * E + 1, E)
      local bias = self.in_proj_bias and self.in_proj_bias:narrow(1, (i - 1) * E + 1, E)
      parts[i] = by_heads(peri.linear(x, weight, bias), i == 1 and queries or keys)
    end
  end
  local attn, padding = options.attn_mask, options.key_padding_mask
  if attn and attn:dim() == 3 then attn = attn:reshape(batch, heads, queries, keys) end
  if padding then padding = padding:reshape(batch, 1, 1, keys) end
  local y, weights = peri.scaled_dot_product_attention(parts[1], parts[2], parts[3],
    joined(attn, padding, query.dtype), self.training and self.dropout or 0, { need_weights = options.need_weights })
  if first then y = y:permute(1, 3, 2, 4):reshape(batch, queries, E)
  else y = y:permute(3, 1, 2, 4):reshape(queries, batch, E) end
  y = self.out_proj(y)
  if not batched then y = y:reshape(queries, E) end
  if not weights then return y end
  if options.average_attn_weights then weights = weights:mean(2) end
  return y, batched and weights or weights:squeeze(1)
end

local function check_masks(self, options, batch, queries, keys, batched)
  local padding, attn = options.key_padding_mask, options.attn_mask
  local wanted = batched and ("%dx%d"):format(batch, keys) or tostring(keys)
  if padding and check.shape(padding) ~= wanted then
    fail(self, "key_padding_mask is %s (expected %s, true for keys that do not count)", check.shape(padding), wanted)
  end
  local flat = ("%dx%d"):format(queries, keys)
  local each = ("%dx%s"):format(batch * self.num_heads, flat)
  if attn and check.shape(attn) ~= flat and check.shape(attn) ~= each then
    fail(self, "attn_mask is %s (expected %s or %s)", check.shape(attn), flat, each)
  end
end

local MultiheadAttention = define("MultiheadAttention", { "embed_dim", "num_heads" }, {
  { "dropout", SHARE, 0 }, { "bias", kinds.boolean, true }, { "kdim", check.whole_from(1) },
  { "vdim", check.whole_from(1) }, { "batch_first", kinds.boolean, false },
}, function(self, options)
  local E, dtype = self.embed_dim, options.dtype
  if E % self.num_heads ~= 0 then
    check.fail("MultiheadAttention: num_heads is %d (expected a divisor of embed_dim, %d)", self.num_heads, E)
  end
  self.kdim, self.vdim, self.bias = options.kdim or E, options.vdim or E, nil
  local function weight(rows, columns)
    return nn.Parameter(nn.init.xavier_uniform_(peri.zeros(rows, columns, { dtype = dtype })))
  end
  local out_proj = nn.Linear(E, E, { bias = options.bias, dtype = dtype })
  if self.kdim == E and self.vdim == E then
    self.in_proj_weight = weight(3 * E, E)
  else
    self.q_proj_weight, self.k_proj_weight = weight(E, E), weight(E, self.kdim)
    self.v_proj_weight = weight(E, self.vdim)
  end
  if options.bias then
    self.in_proj_bias = nn.Parameter(peri.zeros(3 * E, { dtype = dtype }))
    peri.no_grad(out_proj.bias.zero_, out_proj.bias)
  end
  self.out_proj = out_proj
end,
  "MultiheadAttention(embed_dim, num_heads, {dropout = 0, bias = true, kdim, vdim, batch_first = false, "
  .. "dtype = 'float32'}) -> module\n" .. [[
y, weights = layer(query, key, value, {key_padding_mask, attn_mask, need_weights = true, average_attn_weights =
true}): attention of num_heads heads, each over embed_dim / num_heads features of projections of query, key and
value, whose results are projected together: peri.scaled_dot_product_attention. query is steps x batch x embed_dim
(batch first with batch_first, or steps x embed_dim alone), key and value steps of their own x batch x kdim and vdim
(embed_dim where not given); left out they are query. key_padding_mask is batch x keys, attn_mask queries x keys, or
that for each of batch * num_heads: bools that are true where nothing may be taken, or floats that are added.
weights are batch x queries x keys, means over the heads, or with average_attn_weights = false batch x heads x
queries x keys; with need_weights = false there are none. Parameters as PyTorch's: in_proj_weight (or q_, k_ and
v_proj_weight) begin by xavier_uniform_, in_proj_bias and out_proj.bias as zeros. There are no add_bias_kv and
add_zero_attn.
A. Vaswani et al., 'Attention is all you need', 2017.
Errors: a num_heads that does not divide embed_dim; shapes that do not fit.]])

local FLAGS = { key_padding_mask = MASK, attn_mask = MASK, need_weights = kinds.boolean,
                average_attn_weights = kinds.boolean }

function MultiheadAttention:forward(query, key, value, options, ...)
  no_more(self, ...)
  if type(key) == "table" then key, value, options = nil, nil, key end
  if type(value) == "table" then value, options = nil, value end
  check_input(self, "query", query, self.embed_dim)
  key = key or query
  value = value or key
  check_input(self, "key", key, self.kdim)
  check_input(self, "value", value, self.vdim)
  local first = self.batch_first and query:dim() == 3
  local steps, batches = first and 2 or 1, first and 1 or 2
  if key:dim() ~= query:dim() or value:dim() ~= query:dim() or key.shape[steps] ~= value.shape[steps] or
     query:dim() == 3 and (key.shape[batches] ~= query.shape[batches] or value.shape[batches] ~= query.shape[batches])
  then
    fail(self, "query is %s, key %s and value %s (expected one batch, and as many keys as values)", check.shape(query),
      check.shape(key), check.shape(value))
  end
  options = read_pass(self, options, FLAGS)
  if options.need_weights == nil then options.need_weights = true end
  if options.average_attn_weights == nil then options.average_attn_weights = true end
  local batched = query:dim() == 3
  check_masks(self, options, batched and query.shape[batches] or 1, query.shape[steps], key.shape[steps], batched)
  return attend(self, query, key, value, options)
end

function MultiheadAttention:macs(query, key)
  local E, n = self.embed_dim, query:numel() // self.embed_dim
  key = key or query
  local batch = query:dim() == 3 and query.shape[self.batch_first and 1 or 2] or 1
  local keys = key:numel() // key.shape[key:dim()]
  return n * E * E * 2 + keys * E * (self.kdim + self.vdim) + 2 * n * (keys // batch) * E
end

-- ---- transformers ----

local Layer = define("TransformerEncoderLayer", { "d_model", "nhead" }, {
  { "dim_feedforward", check.whole_from(1), 2048 }, { "dropout", SHARE, 0.1 },
  { "activation", check.one_of "relu gelu", "relu" }, { "layer_norm_eps", kinds.positive, 1e-5 },
  { "batch_first", kinds.boolean, false }, { "norm_first", kinds.boolean, false },
}, function(self, options)
  local d, p, dtype = self.d_model, options.dropout, options.dtype
  if d % self.nhead ~= 0 then
    check.fail("TransformerEncoderLayer: nhead is %d (expected a divisor of d_model, %d)", self.nhead, d)
  end
  self.dropout = nil
  self.self_attn = nn.MultiheadAttention(d, self.nhead,
    { dropout = p, batch_first = options.batch_first, dtype = dtype })
  self.linear1 = nn.Linear(d, options.dim_feedforward, { dtype = dtype })
  self.dropout = nn.Dropout { p = p }
  self.linear2 = nn.Linear(options.dim_feedforward, d, { dtype = dtype })
  self.norm1 = nn.LayerNorm(d, { eps = options.layer_norm_eps, dtype = dtype })
  self.norm2 = nn.LayerNorm(d, { eps = options.layer_norm_eps, dtype = dtype })
  self.dropout1 = nn.Dropout { p = p }
  self.dropout2 = nn.Dropout { p = p }
end,
  "TransformerEncoderLayer(d_model, nhead, {dim_feedforward = 2048, dropout = 0.1, activation = 'relu', "
  .. "layer_norm_eps = 1e-5, batch_first = false, norm_first = false, dtype = 'float32'}) -> module\n" .. [[
y = layer(x, {src_mask, src_key_padding_mask}): attention of x to itself, then two linear layers with an activation
(relu or gelu) between, each added to what it was given and normalised (LayerNorm) behind it, or with norm_first before.
x and y are steps x batch x d_model (batch first with batch_first). Masks are those of MultiheadAttention: src_mask its
attn_mask. Children as PyTorch's: self_attn, linear1, linear2, norm1, norm2 and dropouts. A. Vaswani et al., 'Attention
is all you need', 2017.]])

local MASKS = { src_mask = MASK, src_key_padding_mask = MASK }

function Layer:forward(x, options, ...)
  no_more(self, ...)
  check_input(self, "x", x, self.d_model)
  options = read_pass(self, options, MASKS)
  local masks = { attn_mask = options.src_mask, key_padding_mask = options.src_key_padding_mask, need_weights = false }
  local function attention(y) return self.dropout1((self.self_attn(y, masks))) end
  local function feed(y)
    local inner
    if self.activation == "relu" then
      inner = peri.linear(y, self.linear1.weight, self.linear1.bias, { activation = "relu" })
    else
      inner = self.linear1(y):gelu()
    end
    return self.dropout2(self.linear2(self.dropout(inner)))
  end
  if self.norm_first then
    x = x + attention(self.norm1(x))
    return x + feed(self.norm2(x))
  end
  x = self.norm1(x + attention(x))
  return self.norm2(x + feed(x))
end

function Layer:macs(x)
  return self.self_attn:macs(x) + 2 * x:numel() * self.dim_feedforward
end

local Encoder = nn.Module.extend("TransformerEncoder", { replays = true })

internal.document("TransformerEncoder", [[
TransformerEncoder(encoder_layer, num_layers, {norm}) -> module
y = encoder(x, {mask, src_key_padding_mask}): num_layers copies of a TransformerEncoderLayer, one after the other, which
all begin with its values, and the module norm behind them if it is given. Masks go to each layer. The copies are
encoder.layers[i].]], function(layer, num_layers, options, ...)
  if nn.type(layer) ~= "TransformerEncoderLayer" or not layer.made_with then
    check.must_be("TransformerEncoder", "encoder_layer", layer, "a TransformerEncoderLayer")
  end
  check.whole("TransformerEncoder", "num_layers", num_layers, 1, 1000)
  if select("#", ...) > 0 then
    check.fail("TransformerEncoder: too many arguments: %s was not expected", describe((...)))
  end
  options = check.options("TransformerEncoder", options,
    { norm = check.test("a module", function(v) return nn.type(v) ~= nil end) })
  return Encoder(layer, num_layers, options.norm)
end, nn)

function Encoder:init(layer, num_layers, norm)
  local copies, state = {}, layer:state_dict()
  local options = {}
  for name, value in pairs(layer.made_with[2]) do options[name] = value end
  options.dtype = layer.linear1.weight.dtype
  for i = 1, num_layers do
    copies[i] = nn.TransformerEncoderLayer(layer.d_model, layer.nhead, options):load_state_dict(state)
    copies[i]:train(layer.training)
  end
  self.num_layers = num_layers
  self.layers = nn.ModuleList(copies)
  if norm then self.norm = norm end
end

function Encoder:forward(x, options, ...)
  no_more(self, ...)
  check_input(self, "x", x, self.layers[1].d_model)
  options = read_pass(self, options, { mask = MASK, src_key_padding_mask = MASK })
  local masks = { src_mask = options.mask, src_key_padding_mask = options.src_key_padding_mask }
  for i = 1, self.num_layers do x = self.layers[i](x, masks) end
  return self.norm and self.norm(x) or x
end

function Encoder:macs(x) return self.num_layers * self.layers[1]:macs(x) end

-- ---- positions ----

local Positions = define("PositionalEncoding", { "d_model" }, {
  { "dropout", SHARE, 0.1 }, { "max_len", check.whole_from(1), 5000 }, { "batch_first", kinds.boolean, false },
}, function(self, options)
  local d, p = self.d_model, options.dropout
  local place = peri.arange(0, options.max_len - 1, { dtype = "float64" }):unsqueeze(2)
  local pairs_of = (d + 1) // 2
  local rate = (peri.arange(0, pairs_of - 1, { dtype = "float64" }) * (-2 * math.log(10000) / d)):exp()
  local angles = place * rate
  local both = peri.stack({ angles:sin(), angles:cos() }, 3):reshape(options.max_len, 2 * pairs_of):narrow(2, 1, d)
  self.dropout = nil
  self.pe = nn.Buffer(both:to(options.dtype):contiguous())
  self.dropout = nn.Dropout { p = p }
end, [[
PositionalEncoding(d_model, {dropout = 0.1, max_len = 5000, batch_first = false, dtype = 'float32'}) -> module
y = layer(x): x, steps x batch x d_model (batch first with batch_first), plus what says where each step stands: sines of
t / 10000^(2 i / d_model) at feature 2 i + 1, cosines at 2 i + 2, for steps t from 0; then dropout. The buffer pe holds
max_len x d_model of them. A. Vaswani et al., 'Attention is all you need', 2017.
Errors: more steps than max_len.]])

function Positions:forward(x, ...)
  no_more(self, ...)
  check_input(self, "x", x, self.d_model)
  local first = x:dim() == 3 and self.batch_first
  local steps = x.shape[first and 2 or 1]
  if steps > self.pe.shape[1] then
    fail(self, "x has %d steps (expected at most max_len, %d)", steps, self.pe.shape[1])
  end
  local pe = self.pe:narrow(1, 1, steps)
  if x:dim() == 3 and not first then pe = pe:unsqueeze(2) end
  return self.dropout(x + pe)
end
