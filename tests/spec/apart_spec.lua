-- Decompositions that take so long that they are made on a thread of their own: the answers are right, and the same
-- bits every time.
local peri = require "perilune"
local linalg = peri.linalg

-- Enough for 1e9 operations.
local N = 400

local function close(a, b, tolerance) return (a - b):abs():max():item() <= tolerance end

describe("a large decomposition", function()
  for dtype, tolerance in pairs { float32 = 2e-3, float64 = 1e-9 } do
    local function matrix(m, n)
      return peri.randn({ m, n }, { dtype = dtype, generator = peri.Generator(7) })
    end

    it("is right and repeats, in " .. dtype, function()
      local A = matrix(N, N)
      local S = A + A.T
      local w, V = linalg.eigh(S)
      assert.is_true(close((V * w):mm(V.T), S, tolerance))
      assert.is_true(select(2, linalg.eigh(S)):equal(V))

      local U, s, Vh = linalg.svd(A)
      assert.is_true(close((U * s):mm(Vh), A, tolerance))
      local wide = matrix(N // 2, 2 * N)
      U, s, Vh = linalg.svd(wide, { full_matrices = false })
      assert.is_true(close((U * s):mm(Vh), wide, tolerance))
      assert.is_true(close(linalg.svdvals(wide), s, tolerance))

      local re, im, vr, vi = linalg.eig(A)
      -- A (vr + i vi) = (re + i im) (vr + i vi)
      assert.is_true(close(A:mm(vr), vr * re - vi * im, tolerance))
      assert.is_true(close(A:mm(vi), vr * im + vi * re, tolerance))
      local again = linalg.eig(A)
      assert.is_true(again:equal(re))

      local B = matrix(3 * N, N)
      local x, residuals, rank = linalg.lstsq(B, B:mm(A))
      assert.equal(N, rank:item())
      assert.is_true(close(x, A, tolerance * 10))
      assert.is_true(residuals:abs():max():item() <= tolerance)
    end)
  end
end)
