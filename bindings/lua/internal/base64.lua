-- Bytes as base64 (RFC 4648).
local DIGITS = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
local pairs_of_digits = {}
for i = 0, 4095 do
  local high, low = (i >> 6) + 1, (i & 63) + 1
  pairs_of_digits[i] = DIGITS:sub(high, high) .. DIGITS:sub(low, low)
end

return function(bytes)
  local missing = -#bytes % 3
  local text = (bytes .. ("\0"):rep(missing)):gsub("...", function(three)
    local a, b, c = three:byte(1, 3)
    return pairs_of_digits[a << 4 | b >> 4] .. pairs_of_digits[(b & 15) << 8 | c]
  end)
  return text:sub(1, #text - missing) .. ("="):rep(missing)
end
