std = "lua54"
max_line_length = 120
unused_args = false
files["tests/spec"] = {std = "lua54+busted"}
files["tests/embed/lighttpd"] = {globals = {"lighty", "wrk", "request", "done"}}
