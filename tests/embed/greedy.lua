-- What a guest may try: to catch what ends it.
while true do pcall(function() while true do end end) end
