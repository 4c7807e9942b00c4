package seal

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

const fingerprintInfo = "enlace/fingerprint/v1"

// Fingerprint tells two secrets of a tenant apart, or that they are the same, to people
// who may see neither: 8 hexadecimal digits of an HMAC whose key comes from the root key, so that
// nobody without it can try guesses. Another root key gives another one.
func Fingerprint(k Key, tenant string, secret []byte) string {
	if k.derive == nil {
		return ""
	}
	salt := sha256.Sum256([]byte(fingerprintInfo)) // any will do; without one HKDF is refused in FIPS mode
	key := k.derive(salt[:], fingerprintInfo, sha256.Size)
	defer clear(key)
	mac := hmac.New(sha256.New, key)
	mac.Write(binary.BigEndian.AppendUint64(nil, uint64(len(tenant))))
	mac.Write([]byte(tenant))
	mac.Write(secret)
	return hex.EncodeToString(mac.Sum(nil)[:4])
}
