/* Functions of Lua that Lua 5.1 does not have, or LuaJIT, 5.2 and 5.3: weak, so that the module can be loaded there,
 * and say which Lua it needs. Comes after Lua's headers. */
#ifndef PERI_BIND_LUA_LATER_H
#define PERI_BIND_LUA_LATER_H

/* 5.2 */
#pragma weak luaL_checkversion_
#pragma weak luaL_execresult
#pragma weak luaL_fileresult
#pragma weak luaL_getsubtable
#pragma weak luaL_len
#pragma weak luaL_loadbufferx
#pragma weak luaL_loadfilex
#pragma weak luaL_prepbuffsize
#pragma weak luaL_pushresultsize
#pragma weak luaL_buffinitsize
#pragma weak luaL_requiref
#pragma weak luaL_setfuncs
#pragma weak luaL_setmetatable
#pragma weak luaL_testudata
#pragma weak luaL_tolstring
#pragma weak luaL_traceback
#pragma weak lua_absindex
#pragma weak lua_arith
#pragma weak lua_callk
#pragma weak lua_compare
#pragma weak lua_copy
#pragma weak lua_getglobal
#pragma weak lua_len
#pragma weak lua_pcallk
#pragma weak lua_rawgetp
#pragma weak lua_rawlen
#pragma weak lua_rawsetp
#pragma weak lua_setglobal
#pragma weak lua_tointegerx
#pragma weak lua_tonumberx
#pragma weak lua_upvalueid
#pragma weak lua_upvaluejoin
#pragma weak lua_version
#pragma weak lua_yieldk
/* 5.3 */
#pragma weak lua_geti
#pragma weak lua_isinteger
#pragma weak lua_isyieldable
#pragma weak lua_rotate
#pragma weak lua_seti
#pragma weak lua_stringtonumber
/* 5.4 */
#pragma weak luaL_addgsub
#pragma weak luaL_typeerror
#pragma weak lua_closeslot
#pragma weak lua_getiuservalue
#pragma weak lua_newuserdatauv
#pragma weak lua_resetthread
#pragma weak lua_setiuservalue
#pragma weak lua_setwarnf
#pragma weak lua_toclose
#pragma weak lua_warning

#endif
