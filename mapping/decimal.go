package mapping

import "cmp"

// decimal is a number in the grammar of JSON, cut into its parts and never computed with.
type decimal struct {
	negative bool
	whole    []byte // digits before the point
	fraction []byte // digits behind it
	exponent int64  // clamped to ±maxExponent
	plain    bool   // written without an exponent
}

// maxExponent is beyond any difference that digits can make.
const maxExponent = 1 << 30

// parseDecimal reads text as a JSON number.
func parseDecimal(text []byte) (d decimal, ok bool) {
	if len(text) > 0 && text[0] == '-' {
		d.negative, text = true, text[1:]
	}
	d.whole, text = leadingDigits(text)
	if len(d.whole) == 0 || len(d.whole) > 1 && d.whole[0] == '0' {
		return d, false
	}
	if len(text) > 0 && text[0] == '.' {
		if d.fraction, text = leadingDigits(text[1:]); len(d.fraction) == 0 {
			return d, false
		}
	}
	if d.plain = len(text) == 0; d.plain {
		return d, true
	}
	if text[0]|0x20 != 'e' {
		return d, false
	}
	text = text[1:]
	sign := int64(1)
	if len(text) > 0 && (text[0] == '+' || text[0] == '-') {
		if text[0] == '-' {
			sign = -1
		}
		text = text[1:]
	}
	digits, rest := leadingDigits(text)
	if len(digits) == 0 || len(rest) > 0 {
		return d, false
	}
	for _, c := range digits {
		d.exponent = min(d.exponent*10+int64(c-'0'), maxExponent)
	}
	d.exponent *= sign
	return d, true
}

func leadingDigits(text []byte) (digits, rest []byte) {
	i := 0
	for i < len(text) && '0' <= text[i] && text[i] <= '9' {
		i++
	}
	return text[:i], text[i:]
}

// isInteger says whether text is a whole number in the grammar of JSON.
func isInteger(text []byte) bool {
	d, ok := parseDecimal(text)
	return ok && d.plain && d.fraction == nil
}

// digit returns the digit at i, counted from the first one written; behind the last are zeros.
func (d *decimal) digit(i int) byte {
	switch {
	case i < len(d.whole):
		return d.whole[i]
	case i < len(d.whole)+len(d.fraction):
		return d.fraction[i-len(d.whole)]
	}
	return '0'
}

// first returns the index of the first digit that is not 0, and false if all are.
func (d *decimal) first() (int, bool) {
	n := len(d.whole) + len(d.fraction)
	for i := range n {
		if d.digit(i) != '0' {
			return i, true
		}
	}
	return n, false
}

// compare returns -1, 0 or +1, by value: 1.0 equals 1e0.
func (d *decimal) compare(e *decimal) int {
	i, some := d.first()
	j, other := e.first()
	switch {
	case !some && !other:
		return 0
	case !some:
		return sign(e.negative, -1)
	case !other || d.negative != e.negative:
		return sign(d.negative, 1)
	}
	order := cmp.Compare(int64(len(d.whole)-i)+d.exponent, int64(len(e.whole)-j)+e.exponent)
	for end := len(d.whole) + len(d.fraction); order == 0 && (i < end || j < len(e.whole)+len(e.fraction)); i, j = i+1, j+1 {
		order = cmp.Compare(d.digit(i), e.digit(j))
	}
	return sign(d.negative, order)
}

func sign(negative bool, order int) int {
	if negative {
		return -order
	}
	return order
}
