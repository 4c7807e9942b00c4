package bitrix24

import "strings"

// Relocated implements enlace.Relocator. A renamed portal answers 302 with its new host
// (sheet 2.8). Within one of the vendor's own domains, from acme.bitrix24.com to
// acme-new.bitrix24.com, that is followed: the call is sent again as it was, and the new
// host stored. Whoever answers there decides about both names. A portal on a domain of
// its own, or one that comes to another domain, is for a person to connect again.
func (Adapter) Relocated(from, to string) bool {
	_, zone, _ := strings.Cut(from, ".")
	_, other, _ := strings.Cut(to, ".")
	return from != to && zone == other && strings.HasPrefix(zone, "bitrix24.") && !strings.HasPrefix(to, ".")
}
