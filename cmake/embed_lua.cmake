# Writes files under DIRECTORY, Lua or others, as one C file with a table of bindings/core/lua_sources.h:
#   cmake -DDIRECTORY=bindings/lua -DFILES=a.lua;nn/b.lua -DTABLE=peri_lua_sources -DOUTPUT=file.c -P embed_lua.cmake
# The texts are kept byte for byte, so that positions in error messages are those of the files.
set(arrays)
set(rows)
foreach(file IN LISTS FILES)
  string(REGEX REPLACE "\\.lua$" "" name ${file})
  if(file MATCHES "\\.lua$")
    string(REPLACE "/" "." name ${name})
  endif()
  string(MAKE_C_IDENTIFIER "text_${name}" symbol)
  file(READ ${DIRECTORY}/${file} hex HEX)
  string(REGEX REPLACE "(................................)" "\\1\n" hex "${hex}")
  string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${hex}")
  string(APPEND arrays "static const unsigned char ${symbol}[] = {\n${bytes}0};\n")
  string(APPEND rows "    {\"${name}\", (const char *)${symbol}, sizeof(${symbol}) - 1},\n")
endforeach()
file(WRITE ${OUTPUT} "#include \"bindings/core/lua_sources.h\"\n\n${arrays}
const struct peri_lua_source ${TABLE}[] = {\n${rows}    {NULL, NULL, 0},\n};\n")
