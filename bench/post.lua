-- Each request activates another device, so that none waits for another.
math.randomseed(os.time())
local n, tag = 0, string.format("%06x", math.random(0, 0xffffff))
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = '{"timeoutInSeconds": 60, "parameters": {"config": "example"}}'
request = function()
  n = n + 1
  return wrk.format(nil, string.format("/api/v1/equipment/cpe/W%s%08d", tag, n))
end
