-- The form of what errors say of arguments: `operation: name must be WHAT, got VALUE` of another kind,
-- `operation: name is VALUE (expected WHAT)` of what is not allowed, `unknown option NAME (known: ..)`.

-- What is wrong with a message, without its position; nil when nothing is.
return function(message)
  if not message:find "^[%a][%w_.:]*: " then return "does not begin with the operation" end
  local bare = message:gsub("'[^']*'", "''")
  if bare:find(" must ", 1, true) and not bare:find(", got ", 1, true) then return "does not say what it got" end
  if bare:find(", got ", 1, true) and not bare:find(" must ", 1, true) then return "does not say what it must be" end
  for before in bare:gmatch "(.?)expected " do
    if before ~= "(" then return "has what is expected outside of brackets" end
  end
  for _, words in ipairs { "the options", "the argument must" } do
    if bare:find(words, 1, true) then return "says '" .. words .. "'" end
  end
  if bare:find "unknown option" and not bare:find "%(known: " then return "does not list the known options" end
end
