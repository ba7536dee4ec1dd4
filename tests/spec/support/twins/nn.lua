-- Twins of the layers and losses (runtime/nn), on top of the twins of the rows they call.
--
-- An entry is {twin, cases, initial =, close =}:
--   twin     f(layer, inputs, stream): layer has the options and parameters (arrays) by name and `training`; inputs are
--            arrays. It gives an array for each output, or calls array.refuse()
--   cases    lists {constructor arguments, inputs} beside the kind's own `sample`, in its language
--   initial  f(stream, sizes...): the parameters that the constructor draws, as a table of arrays
--   initial_close  how near these are
local array = require "support.array"
local random = require "support.twins.random"
local matrix = require "support.twins.matrix"
local convolution = require "support.twins.convolution"
local reduce = require "support.twins.reduce"
local elementwise = require "support.twins.elementwise"
local view = require "support.twins.view"
local loss = require "support.twins.loss"
local pool = require "support.twins.pool"
local normalize = require "support.twins.normalize"
local embedding = require "support.twins.embedding"
local image = require "support.twins.image"
local arrange = require "support.twins.arrange"
local special = require "support.twins.special"
local recurrent = require "support.twins.recurrent"

-- The layer of a row: its options are the row's.
local function of_row(entry, cases, initial, names, initial_close)
  return { function(layer, inputs)
    local p = {}
    for name, value in pairs(layer) do
      if value ~= "none" then p[name] = value end
    end
    for i, name in ipairs(names or { "x" }) do p[name] = inputs[i] end
    return (entry[1](p))
  end, cases or "{{}, {T(0, 3)}}, {{}, {T(2, 3, 4)}}", close = entry.close, initial = initial,
    initial_close = initial_close }
end

-- The loss of a row; `names` are those of its inputs, where they are not input and target.
local function of_loss(entry, cases, names)
  return { function(layer, inputs)
    local p = {}
    for name, value in pairs(layer) do p[name] = value end
    for i, name in ipairs(names or { "input", "target" }) do p[name] = inputs[i] end
    return (entry[1](p))
  end, cases, close = entry.close }
end
local two = "{{}, {T(67), T(67)}}, {{}, {T(2, 3), T(3)}}, {{}, {T(0), T(0)}}"
local probabilities = [[ {{}, {T(67):sigmoid(), T(67):sigmoid()}}, {{}, {T(3), T(3)}}, {{},
    {T(2):sigmoid(), T(2, 1):sigmoid()}} ]]
local signs = [[ {{}, {T(67), I(2, 67) * 2 - 3}}, {{}, {T(3), T(3)}}, {{}, {T(3), T(3):sign()}}, {{},
    {T(2, 1), I(2, 2) * 2 - 3}} ]]

-- Numbers of [-bound, bound), in float32: low + range u, each step rounded.
local function uniform(stream, shape, bound)
  local u = random.uniform(stream, "float32", array.numel(shape))
  local low, range = array.round("float32", -bound), array.round("float32", 2 * bound)
  return array.build("float32", shape, function(_, k) return low + array.round("float32", range * u(k)) end)
end

-- Weights of a shape and a bias for each output, uniform in +-1/sqrt(all sizes but the first).
local function uniform_weights(stream, shape, outputs, options)
  local bound = 1 / math.sqrt(array.numel(shape) / shape[1])
  local weight = uniform(stream, shape, bound)
  if options and options.bias == false then return { weight = weight } end
  return { weight = weight, bias = uniform(stream, { outputs }, bound) }
end

-- ---- recurrent layers ----

local GATES = { rnn = 1, gru = 3, lstm = 4 }

-- x W' + b (+ c), x of steps x batch x inputs.
local function product(x, weight, bias, more)
  local steps, batch, n = table.unpack(x.shape)
  local outputs = weight.shape[1]
  return array.build(x.dtype, { steps, batch, outputs }, function(at)
    local sum = (bias and bias.values[at[3]] or 0) + (more and more.values[at[3]] or 0)
    local row = ((at[1] - 1) * batch + at[2] - 1) * n
    for k = 1, n do sum = sum + x.values[row + k] * weight.values[(at[3] - 1) * n + k] end
    return sum
  end)
end

-- Dimensions 1 and 2 exchanged.
local function turned(x)
  local a, b, n = table.unpack(x.shape)
  return array.build(x.dtype, { b, a, n }, function(at) return x.values[((at[2] - 1) * b + at[1] - 1) * n + at[3]] end)
end
local function reshaped(x, ...) return x and { shape = { ... }, dtype = x.dtype, values = x.values } end

-- One sequence of a layer and direction, whose parameters have that suffix, from states batch x hidden.
local function sequence(cell, layer, suffix, x, states, reverse)
  local own = function(name) return layer[name .. suffix] end
  local bias, more = own "bias_ih", own "bias_hh"
  local p = { weight = own "weight_hh", h = states[1], c = states[2], reverse = reverse,
              nonlinearity = layer.nonlinearity }
  if cell == "gru" then p.bias, more = more, nil end
  p.x = product(x, own "weight_ih", bias, more)
  return recurrent[cell .. "_sequence"][1](p)
end

local function check_input(layer, x, weight, ...)
  if not array.is_float(x.dtype) or x.dtype ~= weight.dtype then array.refuse() end
  local found = false
  for _, ndim in ipairs { ... } do found = found or #x.shape == ndim end
  if not found or x.shape[#x.shape] ~= layer.input_size then array.refuse() end
end

local function check_state(state, x, ...)
  if state == nil then return end
  if state.dtype ~= x.dtype or table.concat(state.shape, "x") ~= table.concat({ ... }, "x") then array.refuse() end
end

local function recurrent_layer(cell)
  return function(layer, inputs, stream)
    local x, ways, hidden = inputs[1], layer.bidirectional and 2 or 1, layer.hidden_size
    local n, alone, kept = layer.num_layers * ways, #inputs[1].shape == 2, inputs[1].dtype
    check_input(layer, x, layer.weight_ih_l0, 2, 3)
    if alone then x = reshaped(x, x.shape[1], 1, x.shape[2]) elseif layer.batch_first then x = turned(x) end
    local steps, batch = x.shape[1], x.shape[2]
    if steps == 0 then array.refuse() end
    for i = 2, 3 do
      if alone then check_state(inputs[i], x, n, hidden) else check_state(inputs[i], x, n, batch, hidden) end
    end
    local last = { {}, {} }
    for number = 1, layer.num_layers do
      if number > 1 and layer.training and layer.dropout > 0 then
        x = random.rows.dropout[1]({ x = x, p = layer.dropout }, stream)
      end
      local results = {}
      for way = 1, ways do
        local copy, states = (number - 1) * ways + way, {}
        for i = 1, 2 do
          local first = (copy - 1) * batch * hidden
          states[i] = inputs[1 + i] and array.build(kept, { batch, hidden }, function(_, k)
            return inputs[1 + i].values[first + k]
          end)
        end
        local suffix = ("_l%d%s"):format(number - 1, way == 2 and "_reverse" or "")
        results[way] = { sequence(cell, layer, suffix, x, states, way == 2) }
        for i = 1, 2 do
          for _, v in ipairs(results[way][1 + i] and results[way][1 + i].values or {}) do table.insert(last[i], v) end
        end
      end
      x = array.build(kept, { steps, batch, ways * hidden }, function(at)
        local way = (at[3] - 1) // hidden
        return results[way + 1][1].values[((at[1] - 1) * batch + at[2] - 1) * hidden + (at[3] - 1) % hidden + 1]
      end)
    end
    if alone then x = reshaped(x, steps, ways * hidden) elseif layer.batch_first then x = turned(x) end
    local outputs = { x }
    for i = 1, cell == "lstm" and 2 or 1 do
      outputs[1 + i] = { shape = alone and { n, hidden } or { n, batch, hidden }, dtype = kept, values = last[i] }
    end
    return table.unpack(outputs)
  end
end

local function recurrent_cell(cell)
  return function(layer, inputs)
    local x, hidden = inputs[1], layer.hidden_size
    check_input(layer, x, layer.weight_ih, 1, 2)
    local alone = #x.shape == 1
    local batch = alone and 1 or x.shape[1]
    local states = {}
    for i = 1, 2 do
      if alone then check_state(inputs[1 + i], x, hidden) else check_state(inputs[1 + i], x, batch, hidden) end
      states[i] = reshaped(inputs[1 + i], batch, hidden)
    end
    local results = { sequence(cell, layer, "", reshaped(x, 1, batch, layer.input_size), states, false) }
    table.remove(results, 1)
    for i, state in ipairs(results) do results[i] = alone and reshaped(state, hidden) or state end
    return table.unpack(results)
  end
end

-- The parameters of all layers and directions; a cell has one without a suffix.
local function recurrent_initial(cell, is_cell)
  return function(stream, inputs, hidden, options)
    local found, bound, gates = {}, 1 / math.sqrt(hidden), GATES[cell] * hidden
    options = options or {}
    local ways = options.bidirectional and 2 or 1
    for copy = 0, is_cell and 0 or (options.num_layers or 1) * ways - 1 do
      local suffix = is_cell and "" or ("_l%d%s"):format(copy // ways, copy % ways == 1 and "_reverse" or "")
      local into = copy < ways and inputs or ways * hidden
      found["weight_ih" .. suffix] = uniform(stream, { gates, into }, bound)
      found["weight_hh" .. suffix] = uniform(stream, { gates, hidden }, bound)
      if options.bias ~= false then
        found["bias_ih" .. suffix] = uniform(stream, { gates }, bound)
        found["bias_hh" .. suffix] = uniform(stream, { gates }, bound)
      end
    end
    return found
  end
end

local function recurrent_kind(cell, is_cell)
  local cases = is_cell and [[ {{3, 9}, {T(14, 3)}}, {{3, 2}, {T(2, 4)}}, {{3, 2}, {T(2, 3), T(3, 2)}},
    {{3, 2}, {T(2, 3), T(2)}}, {{3, 2}, {T(1, 2, 3)}}, {{3, 2}, {T(0, 3)}} ]] or [[ {{3, 9}, {T(3, 14, 3)}},
    {{3, 2, {num_layers = 3, dropout = 0.4, bias = false}}, {T(2, 4, 3)}},
    {{3, 2, {num_layers = 2, bidirectional = true}}, {T(4, 3)}}, {{3, 2}, {T(2, 1, 4)}}, {{3, 2}, {T(3)}},
    {{3, 2}, {T(0, 1, 3)}}, {{3, 2}, {T(2, 1, 3), T(1, 2, 2)}}, {{3, 2}, {T(2, 1, 3), T(2, 1, 2)}} ]]
  return { (is_cell and recurrent_cell or recurrent_layer)(cell), cases, close = "all",
           initial = recurrent_initial(cell, is_cell) }
end

-- Ones and zeros, unless the option says that there are none; shape(sizes...) is theirs.
local function ones_and_zeros(option, otherwise, shape, no_bias)
  return function(_, ...)
    local options, own = select(-1, ...), shape(...)
    local affine = otherwise
    if type(options) == "table" and options[option] ~= nil then affine = options[option] end
    if not affine then return {} end
    return { weight = array.full("float32", own, 1), bias = not no_bias and array.full("float32", own, 0) or nil }
  end
end
local function as_list(size) return type(size) == "table" and size or { size } end

local function normal_rows(stream, n, size, options)
  local weight = random.rows.randn[1]({ shape = { n, size }, dtype = "float32" }, stream)
  local padding = options and options.padding_idx
  for i = 1, padding and size or 0 do weight.values[(padding - 1) * size + i] = 0 end
  return { weight = weight }
end

-- By the batch while training or without running statistics, else by those. x has from `least` to `most` dimensions.
local function batch_norm(least, most, cases)
  return { function(layer, inputs)
    local x = inputs[1]
    if #x.shape < least or #x.shape > most then array.refuse() end
    return normalize.batch_norm[1] { x = x, weight = layer.weight, bias = layer.bias, eps = layer.eps,
      running_mean = layer.running_mean, running_var = layer.running_var,
      training = layer.training or not layer.running_mean }
  end, cases, close = "all", initial = function(_, n, options)
    if options and options.affine == false then return {} end
    return { weight = array.full("float32", { n }, 1), bias = array.full("float32", { n }, 0) }
  end }
end

local dims = [[ {{{dim = 1}}, {T(3, 4)}}, {{{dim = -1}}, {T(2, 3, 4)}}, {{{dim = 2}}, {T(2, 3, 4)}},
  {{{dim = 3}}, {T(2, 3)}} ]]

local kinds = {
  Linear = { function(layer, inputs)
    return matrix.linear[1] { x = inputs[1], weight = layer.weight, bias = layer.bias }
  end, "{{1, 1}, {T(4, 1)}}, {{17, 9}, {T(40, 17)}}, {{3, 2}, {T(2, 2, 3)}}, {{3, 2}, {T(0, 3)}}, {{3, 2}, {T(2, 2)}}",
    close = "all", initial = function(stream, inputs, outputs, options)
      local bound = 1 / math.sqrt(inputs)
      local weight = uniform(stream, { outputs, inputs }, bound)
      if options and options.bias == false then return { weight = weight } end
      return { weight = weight, bias = uniform(stream, { outputs }, bound) }
    end },
  Conv2d = { function(layer, inputs)
    local p = { x = inputs[1] }
    for name, value in pairs(layer) do p[name] = value end
    return convolution.conv2d[1](p)
  end, [[ {{1, 1, 1}, {T(1, 1, 1)}}, {{3, 5, {2, 3}, {bias = false}}, {T(2, 3, 4, 4)}}, {{4, 2, 3}, {T(4, 2, 2)}},
    {{2, 2, 2, {padding = 'same'}}, {T(0, 2, 3, 3)}}, {{2, 2, 2, {padding = 'valid', stride = {2, 1}}}, {T(2, 5, 5)}},
    {{6, 3, 3, {groups = 3, padding = 2}}, {T(2, 6, 3, 4)}}, {{2, 3, 1}, {T(2, 3, 1)}}, {{2, 3, 1}, {T(3, 4, 4)}} ]],
    close = "all", initial = function(stream, inputs, outputs, size, options)
      size = type(size) == "table" and size or { size, size }
      local shape = { outputs, inputs // (options and options.groups or 1), size[1], size[2] }
      local bound = 1 / math.sqrt(shape[2] * shape[3] * shape[4])
      local weight = uniform(stream, shape, bound)
      if options and options.bias == false then return { weight = weight } end
      return { weight = weight, bias = uniform(stream, { outputs }, bound) }
    end },
  Dropout = { function(layer, inputs, stream)
    return random.rows.dropout[1]({ x = inputs[1], p = layer.p, training = layer.training }, stream)
  end, "{{{p = 1}}, {T(3)}}, {{{p = 0.7}}, {T(5, 13)}}, {{{p = 0.1}}, {T(0)}}" },
  Dropout2d = { function(layer, inputs, stream)
    local x = inputs[1]
    if not array.is_float(x.dtype) or #x.shape ~= 4 then array.refuse() end
    if not layer.training or layer.p == 0 then return x end
    local u = random.uniform(stream, x.dtype, x.shape[1] * x.shape[2])
    local limit = array.round(x.dtype, layer.p)
    local scale = array.round(x.dtype, layer.p < 1 and 1 / (1 - layer.p) or 0)
    return array.build(x.dtype, x.shape, function(at, k)
      return x.values[k] * (u((at[1] - 1) * x.shape[2] + at[2]) < limit and 0 or scale)
    end)
  end, [[ {{{p = 1}}, {T(1, 3, 1, 1)}}, {{{p = 0.7}}, {T(5, 7, 2, 3)}}, {{}, {T(3, 4)}}, {{{p = 0.1}},
    {T(0, 1, 1, 1)}} ]] },
  Conv1d = of_row(convolution.conv1d, [[ {{1, 1, 1}, {T(1, 1)}}, {{3, 5, 2, {bias = false}}, {T(2, 3, 4)}},
    {{4, 2, 3}, {T(4, 2)}},
    {{2, 2, 2, {padding = 'same'}}, {T(0, 2, 3)}}, {{2, 2, 2, {padding = 'valid', stride = 2}}, {T(2, 5)}},
    {{6, 3, 3, {groups = 3, padding = 2}}, {T(2, 6, 3)}}, {{2, 3, 1}, {T(3, 4)}} ]],
    function(stream, inputs, outputs, size, options)
      return uniform_weights(stream, { outputs, inputs // (options and options.groups or 1), size }, outputs, options)
    end),
  ConvTranspose2d = of_row(convolution.conv_transpose2d, [[ {{1, 1, 1}, {T(1, 1, 1)}}, {{3, 5, {2, 3},
    {bias = false}}, {T(2, 3, 4, 4)}},
    {{4, 2, 3, {padding = 1}}, {T(4, 2, 2)}}, {{6, 3, 3, {groups = 3, stride = 2, output_padding = 1}},
    {T(2, 6, 3, 4)}},
    {{2, 3, 1}, {T(3, 4, 4)}} ]], function(stream, inputs, outputs, size, options)
      size = type(size) == "table" and size or { size, size }
      return uniform_weights(stream, { inputs, outputs // (options and options.groups or 1), size[1], size[2] },
        outputs, options)
    end),
  LayerNorm = of_row(normalize.layer_norm, "{{70}, {T(9, 70)}}, {{3}, {T(3, 4)}}, {{1}, {T(2, 1)}}",
    ones_and_zeros("elementwise_affine", true, as_list)),
  RMSNorm = of_row(normalize.rms_norm, "{{70}, {T(9, 70)}}, {{3}, {T(3, 4)}}, {{1}, {T(2, 1)}}",
    ones_and_zeros("elementwise_affine", true, as_list, true)),
  GroupNorm = of_row(normalize.group_norm, [[ {{2, 6}, {T(9, 6, 7)}}, {{2, 6}, {T(9, 4)}}, {{1, 3}, {T(3)}},
    {{2, 3}, {T(2, 3)}} ]],
    ones_and_zeros("affine", true, function(_, channels) return { channels } end)),
  InstanceNorm2d = { function(layer, inputs)
    local x = inputs[1]
    if #x.shape ~= 4 or x.shape[2] ~= layer.num_features then array.refuse() end
    if layer.track_running_stats and not layer.training then
      return normalize.batch_norm[1] { x = x, weight = layer.weight, bias = layer.bias, eps = layer.eps,
                                       running_mean = layer.running_mean, running_var = layer.running_var }
    end
    return normalize.instance_norm[1] { x = x, weight = layer.weight, bias = layer.bias, eps = layer.eps }
  end, [[ {{6}, {T(9, 6, 7, 2)}}, {{2}, {T(1, 2, 1, 1)}}, {{2}, {T(1, 3, 2, 2)}}, {{3}, {T(2, 3)}},
    {{3}, {T(2, 3, 4)}}, {{2, {track_running_stats = true}}, {T(3, 2, 4, 5)}} ]],
    close = "all", initial = ones_and_zeros("affine", false, function(channels) return { channels } end) },
  Embedding = of_row(embedding.embedding, [[ {{67, 9}, {I(67, 40)}}, {{5, 2}, {I(6, 40)}}, {{5, 2}, {T(2)}},
    {{2, 2}, {I(2, 0)}} ]],
    normal_rows, { "index" }, "all"),
  EmbeddingBag = of_row(embedding.embedding_bag, [[ {{67, 9}, {I(67, 40, 3)}}, {{5, 2}, {I(5, 40)}},
    {{5, 2}, {T(2, 2)}}, {{5, 2}, {I(5, 9), I(1, 4)}}, {{5, 2}, {I(5, 9), I(1, 4) * 2}},
    {{5, 2}, {I(5, 3, 3), I(1, 4)}},
    {{5, 2}, {I(5, 9), T(2)}} ]],
    normal_rows, { "index", "offsets" }, "all"),
  ZeroPad2d = { function(layer, inputs)
    local x, padding = inputs[1], layer.padding
    if #x.shape ~= 3 and #x.shape ~= 4 then array.refuse() end
    if type(padding) == "number" then padding = { padding, padding, padding, padding } end
    local shape = { table.unpack(x.shape) }
    local h, w = #shape - 1, #shape
    shape[h], shape[w] = shape[h] + padding[3] + padding[4], shape[w] + padding[1] + padding[2]
    return array.build(x.dtype, shape, function(at)
      local own = { table.unpack(at) }
      own[h], own[w] = at[h] - padding[3], at[w] - padding[1]
      local inside = own[h] >= 1 and own[h] <= x.shape[h] and own[w] >= 1 and own[w] <= x.shape[w]
      if not inside then return x.dtype == "bool" and false or 0 end
      return array.at(x, own)
    end)
  end, "{{{0, 1, 0, 0}}, {T(1, 2, 2)}}, {{2}, {T(3, 4)}}, {{1}, {T(0, 1, 1)}}" },
  RNN = recurrent_kind "rnn", GRU = recurrent_kind "gru", LSTM = recurrent_kind "lstm",
  RNNCell = recurrent_kind("rnn", true), GRUCell = recurrent_kind("gru", true),
  LSTMCell = recurrent_kind("lstm", true),
  Bilinear = of_row(embedding.bilinear, [[ {{7, 8, 6}, {T(9, 7), T(9, 8)}}, {{2, 2, 1}, {T(3, 2), T(2, 2)}},
    {{1, 1, 1}, {T(3, 1), T(3, 1)}} ]],
    function(stream, n1, n2, outputs, options)
      local bound = 1 / math.sqrt(n1)
      local weight = uniform(stream, { outputs, n1, n2 }, bound)
      if options and options.bias == false then return { weight = weight } end
      return { weight = weight, bias = uniform(stream, { outputs }, bound) }
    end, { "input1", "input2" }),
  Unflatten = of_row(arrange.unflatten, [[ {{1, {3, 2}}, {T(6, 2)}}, {{2, {2, 2}}, {T(4)}}, {{1, {2, 2}}, {T(5)}},
    {{1, 4}, {T(4)}} ]]),
  Upsample = { function(layer, inputs)
    local function given(value) return value ~= "none" and value or nil end
    return image.interpolate[1] { x = inputs[1], size = given(layer.size), scale_factor = given(layer.scale_factor),
      mode = layer.mode, align_corners = layer.align_corners or nil }
  end, [[ {{{scale_factor = 1.5}}, {T(2, 3, 4)}}, {{{size = 3, mode = 'bilinear'}}, {T(2, 3, 4)}},
    {{}, {T(2, 3, 4)}}, {{{size = 3, scale_factor = 2}}, {T(2, 3, 4)}}, {{{size = {2, 3}}}, {T(2, 3, 4)}},
    {{{scale_factor = 2, align_corners = true}}, {T(2, 3, 4)}} ]], close = "all" },
  MaxPool1d = of_row(pool.max_pool1d, [[ {{3, {stride = 2, padding = 1}}, {T(2, 3, 9)}}, {{5}, {T(1, 4)}}, {{2},
    {T(4)}} ]]),
  AvgPool1d = of_row(pool.avg_pool1d, [[ {{3, {stride = 2, padding = 1}}, {T(2, 3, 9)}}, {{5}, {T(1, 4)}}, {{2},
    {T(4)}} ]]),
  AdaptiveAvgPool1d = of_row(pool.adaptive_avg_pool1d, "{{4}, {T(2, 3, 7)}}, {{1}, {T(3)}}"),
  AdaptiveMaxPool2d = of_row(pool.adaptive_max_pool2d, [[ {{1}, {T(2, 3, 7, 7)}}, {{{3, 4}}, {T(2, 6, 5)}}, {{1},
    {T(3)}} ]]),
  Identity = { function(_, inputs) return inputs[1] end, "{{}, {T(0)}}" },
  PReLU = of_row(special.prelu, [[ {{{num_parameters = 3}}, {T(7, 3)}}, {{{num_parameters = 2}}, {T(7, 3)}}, {{},
    {T(9)}} ]],
    function(_, options)
      options = options or {}
      return { weight = array.full("float32", { options.num_parameters or 1 }, options.init or 0.25) }
    end),
  GLU = of_row(special.glu, "{{}, {T(3, 5)}}, {{{dim = 2}}, {T(3, 6, 2)}}, {{}, {T(0, 2)}}"),
  Softmax = of_row(reduce.softmax, dims),
  LogSoftmax = of_row(reduce.log_softmax, dims),
  Flatten = of_row(view.flatten, "{{}, {T(3)}}, {{{dim = -2}}, {T(2, 3, 4)}}, {{{dim = 3}}, {T(2, 3, 4)}}"),
  MaxPool2d = of_row(pool.max_pool2d, [[ {{3, {stride = 2, padding = 1}}, {T(2, 3, 9, 9)}},
    {{{2, 1}, {dilation = {2, 1}, ceil_mode = true, stride = 2}}, {T(1, 6, 5)}}, {{2}, {T(4, 4)}}, {{5}, {T(1, 4, 4)}},
    {{2, {padding = 2}}, {T(1, 4, 4)}} ]]),
  AvgPool2d = of_row(pool.avg_pool2d, [[ {{3, {stride = 2, padding = 1}}, {T(2, 3, 9, 9)}},
    {{{2, 1}, {count_include_pad = false, ceil_mode = true, padding = {1, 0}}}, {T(1, 6, 5)}}, {{2}, {T(4, 4)}} ]]),
  AdaptiveAvgPool2d = of_row(pool.adaptive_avg_pool2d,
    "{{1}, {T(2, 3, 7, 7)}}, {{{3, 4}}, {T(2, 6, 5)}}, {{1}, {T(3)}}"),
  BatchNorm1d = batch_norm(2, 3, [[ {{1}, {T(9, 1)}}, {{70}, {T(40, 70)}}, {{3, {affine = false}}, {T(2, 3, 70)}},
    {{3, {track_running_stats = false}}, {T(4, 3)}}, {{3}, {T(1, 3)}}, {{3}, {T(4, 2)}}, {{3}, {T(3)}},
    {{3}, {T(2, 3, 2, 2)}}, {{3}, {T(0, 3)}} ]]),
  BatchNorm2d = batch_norm(4, 4, [[ {{3, {eps = 0.5}}, {T(2, 3, 20, 20)}}, {{2, {affine = false}}, {T(3, 2, 1, 1)}},
    {{3, {track_running_stats = false}}, {T(1, 3, 1, 1)}}, {{3}, {T(2, 3)}}, {{3}, {T(2, 2, 3, 3)}} ]]),
  MSELoss = of_loss(loss.mse_loss, [[ {{}, {T(67), T(67)}}, {{{reduction = 'mean'}}, {T(2, 3), T(2, 3)}},
    {{{reduction = 'none'}}, {T(0), T(0)}}, {{}, {T(2, 3), T(3)}} ]]),
  L1Loss = of_loss(loss.l1_loss, two),
  SmoothL1Loss = of_loss(loss.smooth_l1_loss, two),
  HuberLoss = of_loss(loss.huber_loss, two),
  CrossEntropyLoss = of_loss(loss.cross_entropy, [[ {{{reduction = 'mean'}}, {T(40, 10), I(10, 40)}}, {{},
    {T(3), I(2, 3)}}, {{{weight = T(3)}}, {T(4, 3), I(3, 4)}}, {{{weight = T(2)}}, {T(4, 3), I(3, 4)}},
    {{{reduction = 'none'}}, {T(4, 3), T(4, 3):softmax()}}, {{{reduction = 'sum'}}, {T(4, 3) * 300, I(3, 4)}} ]]),
  NLLLoss = of_loss(loss.nll_loss, [[ {{{weight = T(10)}}, {T(40, 10), I(10, 40)}}, {{}, {T(3), I(3, 3)}}, {{},
    {T(3), T(3)}} ]]),
  BCELoss = of_loss(loss.binary_cross_entropy, probabilities),
  BCEWithLogitsLoss = of_loss(loss.binary_cross_entropy_with_logits, two),
  KLDivLoss = of_loss(loss.kl_div, "{{}, {T(67), T(67):exp()}}, {{}, {T(2, 3), T(3)}}"),
  HingeEmbeddingLoss = of_loss(loss.hinge_embedding_loss, signs),
  SoftMarginLoss = of_loss(loss.soft_margin_loss, signs),
  MultiMarginLoss = of_loss(loss.multi_margin_loss, "{{}, {T(40, 10), I(10, 40)}}, {{}, {T(3), I(3, 3)}}"),
  MultiLabelMarginLoss = of_loss(loss.multilabel_margin_loss, "{{}, {T(9, 7), I(8, 9, 7) - 1}}, {{}, {T(3), I(3)}}"),
  PoissonNLLLoss = of_loss(loss.poisson_nll_loss, "{{}, {T(67), T(67):exp()}}, {{}, {T(2, 3), T(3)}}"),
  GaussianNLLLoss = of_loss(loss.gaussian_nll_loss,
    "{{}, {T(67), T(67), T(67):exp()}}, {{}, {T(3), T(3), T(3)}}, {{}, {T(2, 3), T(2, 3), T(3):exp()}}",
    { "input", "target", "var" }),
  MarginRankingLoss = of_loss(loss.margin_ranking_loss,
    "{{}, {T(67), T(67), I(2, 67) * 2 - 3}}, {{}, {T(3), T(3), T(3)}}", { "input1", "input2", "target" }),
  CosineEmbeddingLoss = of_loss(loss.cosine_embedding_loss,
    "{{}, {T(9, 67), T(9, 67), I(2, 9) * 2 - 3}}, {{}, {T(3), T(3), T(3)}}", { "input1", "input2", "target" }),
  TripletMarginLoss = of_loss(loss.triplet_margin_loss,
    "{{}, {T(9, 67), T(9, 67), T(9, 67)}}, {{}, {T(3), T(3), T(2)}}", { "anchor", "positive", "negative" }),
}

for name, row in pairs {
  Tanh = "tanh", ReLU = "relu", Sigmoid = "sigmoid", LogSigmoid = "logsigmoid", ReLU6 = "relu6", ELU = "elu",
  CELU = "celu", LeakyReLU = "leaky_relu", SELU = "selu", GELU = "gelu", SiLU = "silu", Mish = "mish",
  Softplus = "softplus",
  Softsign = "softsign", Hardtanh = "hardtanh", Hardswish = "hardswish", Hardsigmoid = "hardsigmoid",
} do
  kinds[name] = of_row(elementwise.rows[row] or special[row])
end

return kinds
