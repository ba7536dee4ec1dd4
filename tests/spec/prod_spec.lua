-- The gradient of a product: at each factor the product of the others, zeros or not.
local peri = require "perilune"

-- What plain loops give: the gradient at i of the product of the values of each group that i belongs to.
local function others(values)
  local result = {}
  for i = 1, #values do
    result[i] = 1
    for k = 1, #values do
      if k ~= i then result[i] = result[i] * values[k] end
    end
  end
  return result
end

local function close(expected, got, tolerance)
  assert.equal(#expected, #got)
  for i, e in ipairs(expected) do
    local text = ("%d: %.17g, right: %.17g"):format(i, got[i], e)
    assert.is_true(math.abs(got[i] - e) <= tolerance * math.max(1, math.abs(e)), text)
  end
end

local cases = {
  { 2 }, { 0 }, { 3, -4 }, { 0, 5 }, { 0, 0 }, { 2, 3, 4 }, { 2, 0, 4 }, { 0, 0, 3 }, { 0, 0, 0 }, { 1, -2, 0.5, 4 },
  { 1, 2, 3, 4, 5 }, { 1, 0, 3, 4, 5, 6, 7, 8, 9 }, { -0.0, 2, 3 },
}

describe("the gradient of prod", function()
  for _, dtype in ipairs { "float32", "float64" } do
    it("over all elements, in " .. dtype, function()
      for _, values in ipairs(cases) do
        local x = peri.tensor(values, { dtype = dtype, requires_grad = true })
        x:prod():backward()
        close(others(values), x.grad:totable(), 1e-6)
        assert.equal(dtype, x.grad.dtype)
      end
    end)

    it("over dimensions that lie side by side or not, in " .. dtype, function()
      peri.manual_seed(5)
      local values = peri.randint(-2, 2, { 2, 3, 4 }):to(dtype)
      for _, dims in ipairs { { 1 }, { 2 }, { 3 }, { 1, 2 }, { 2, 3 }, { 1, 3 }, { 1, 2, 3 } } do
        local reduced = {}
        for _, d in ipairs(dims) do reduced[d] = true end
        for _, keepdim in ipairs { true, false } do
          local x = values:clone():requires_grad_()
          x:prod(dims, keepdim):sum():backward()
          for i = 1, 2 do
            for j = 1, 3 do
              for k = 1, 4 do
                local product, at = 1, { i, j, k }
                for a = reduced[1] and 1 or i, reduced[1] and 2 or i do
                  for b = reduced[2] and 1 or j, reduced[2] and 3 or j do
                    for c = reduced[3] and 1 or k, reduced[3] and 4 or k do
                      if a ~= i or b ~= j or c ~= k then product = product * values[{ a, b, c }] end
                    end
                  end
                end
                assert.equal(product, x.grad[at])
              end
            end
          end
        end
      end
    end)
  end

  it("of the second order, zeros included", function()
    for _, values in ipairs(cases) do
      local n = #values
      local x = peri.tensor(values, { dtype = "float64", requires_grad = true })
      local first = peri.grad(x:prod(), x, { create_graph = true })
      for i = 1, n do
        local second = n > 1 and peri.grad(first[i], x, { retain_graph = true }) or peri.zeros(1)
        local expected = {}
        for j = 1, n do
          expected[j] = i == j and 0 or 1
          for k = 1, n do
            if i ~= j and k ~= i and k ~= j then expected[j] = expected[j] * values[k] end
          end
        end
        close(expected, second:totable(), 1e-12)
      end
    end
  end)

  it("reaches a loss that has other terms too", function()
    local x = peri.tensor({ 2, 3, 4 }, { requires_grad = true })
    local loss = x:prod() + (x * 2):sum()
    loss:backward()
    assert.same({ 14, 10, 8 }, x.grad:totable())
  end)

  it("of nothing is nothing, and of many factors is right in every place", function()
    local none = peri.zeros(2, 0, { requires_grad = true })
    none:prod(2):sum():backward()
    assert.same({ 2, 0 }, none.grad.shape)
    local values = peri.ones(1001, { dtype = "float64" })
    values[7], values[900] = 3, 0
    local x = values:clone():requires_grad_()
    x:prod():backward()
    assert.equal(3, x.grad[900])
    assert.equal(3, x.grad:sum():item())
  end)

  it("is computed in double for float32: partial products may leave its range", function()
    local x = peri.tensor({ 1e30, 1e30, 1e-30, 1e-30 }, { requires_grad = true })
    x:prod():backward()
    close({ 1e-30, 1e-30, 1e30, 1e30 }, x.grad:totable(), 1e-6)
  end)
end)

describe("rows without a gradient", function()
  it("are 0 where they are constant piece by piece, and documented so", function()
    for _, name in ipairs { "sign", "floor", "ceil", "round" } do
      local x = peri.tensor({ 0.5, 1.5 }, { requires_grad = true })
      local y = x[name](x)
      assert.is_false(y.requires_grad)
      local loss = (y * x):sum()
      loss:backward()
      assert.same(y:totable(), x.grad:totable())
    end
  end)
end)
