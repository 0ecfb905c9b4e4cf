-- The same check as the others make, by hand: lua-cjson for JSON, luaossl for OpenSSL.
local cjson = require "cjson.safe"
local digest = require "openssl.digest"
local hmac = require "openssl.hmac"
local pkey = require "openssl.pkey"

local check = {}
local keys = {}

function check.setup(secret, folder)
    keys.HS256 = { kid = "k-HS256", secret = secret }
    for _, alg in ipairs { "RS256", "ES256" } do
        local file = assert(io.open(folder .. "/" .. alg .. ".pub.pem"))
        keys[alg] = { kid = "k-" .. alg, public = pkey.new(file:read("*a"), "PEM") }
        file:close()
    end
end

local function decode(text)
    return ngx.decode_base64((text:gsub("-", "+"):gsub("_", "/"))
        .. ("="):rep((4 - #text % 4) % 4))
end

-- Not an early way out: the time must not tell how much was right.
local function equal(a, b)
    if #a ~= #b then
        return false
    end
    local difference = 0
    for i = 1, #a do
        difference = bit.bor(difference, bit.bxor(a:byte(i), b:byte(i)))
    end
    return difference == 0
end

local function integer(bytes)
    bytes = bytes:gsub("^%z+", "")
    if bytes == "" or bytes:byte() >= 128 then
        bytes = "\0" .. bytes
    end
    return "\2" .. string.char(#bytes) .. bytes
end

-- A JWS carries the two numbers of an ECDSA signature side by side, OpenSSL wants them as DER.
local function der(signature)
    local numbers = integer(signature:sub(1, 32)) .. integer(signature:sub(33))
    return "\48" .. string.char(#numbers) .. numbers
end

local function holds(alg, key, signed, signature)
    if alg == "HS256" then
        return equal(hmac.new(key.secret, "sha256"):final(signed), signature)
    end
    if alg == "ES256" then
        if #signature ~= 64 then
            return false
        end
        signature = der(signature)
    end
    local sha = digest.new("sha256")
    sha:update(signed)
    return key.public:verify(signature, sha)
end

local function names(claim, wanted)
    if type(claim) ~= "table" then
        return claim == wanted
    end
    for _, one in ipairs(claim) do
        if one == wanted then
            return true
        end
    end
    return false
end

local function refuse(status)
    return ngx.exit(status)
end

function check.access(alg)
    local token = (ngx.var.http_authorization or ""):match("^Bearer ([^ ]+)$")
    if not token then
        return refuse(401)
    end
    local header, payload, signature = token:match("^([%w_-]+)%.([%w_-]+)%.([%w_-]+)$")
    if not header then
        return refuse(401)
    end
    local key = keys[alg]
    local head = cjson.decode(decode(header) or "")
    if type(head) ~= "table" or head.alg ~= alg or head.kid ~= key.kid then
        return refuse(401)
    end
    local raw = decode(signature)
    if not raw or not holds(alg, key, header .. "." .. payload, raw) then
        return refuse(401)
    end
    local claims = cjson.decode(decode(payload) or "")
    if type(claims) ~= "table" then
        return refuse(401)
    end
    local now = ngx.time()
    if type(claims.exp) ~= "number" or claims.exp <= now
        or (claims.nbf and claims.nbf > now)
        or claims.iss ~= "https://issuer.example"
        or not names(claims.aud, "api") then
        return refuse(401)
    end
    if not (" " .. tostring(claims.scope) .. " "):find(" read ", 1, true) then
        return refuse(403)
    end
end

return check
