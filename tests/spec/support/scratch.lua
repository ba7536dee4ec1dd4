-- Names of files that specs write again and again: in memory where the system has a place for that, since a file that
-- is written whole waits for the disk.

--- The name of a file that is not there.
return function()
  local name = os.tmpname()
  os.remove(name)
  local in_memory = "/dev/shm" .. name:match "/[^/]*$"
  local file = io.open(in_memory, "wb")
  if not file then return name end
  file:close()
  os.remove(in_memory)
  return in_memory
end
