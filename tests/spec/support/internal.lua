-- What the module's own Lua files have and scripts do not: programs that are run, and the loader of embedded files.
require "perilune"
return debug.getregistry()["perilune.internal"]
