package bitrix24test

import (
	"hash/fnv"
	"strconv"
	"strings"
)

// The functions of this file make up the values of records. Those named seeded give a value to
// seeded records only; the others give the portal's default to every record.

// spread is the finaliser of splitmix64: near ids get unrelated values.
func spread(x uint64) uint64 {
	x += 0x9e3779b97f4a7c15
	x = (x ^ x>>30) * 0xbf58476d1ce4e5b9
	x = (x ^ x>>27) * 0x94d049bb133111eb
	return x ^ x>>31
}

func saltOf(name string) uint64 {
	hash := fnv.New64a()
	hash.Write([]byte(name))
	return hash.Sum64()
}

// draw returns a number below n that depends on the record and the salt only.
func (r *record) draw(salt, n uint64) uint64 {
	return (r.mix ^ salt*0x9e3779b97f4a7c15) >> 11 % n
}

var (
	firstNames = [...]string{
		"Ana", "João", "Inês", "Gonçalo", "Conceição", "Zé", "Luísa", "Tomás", "Мария", "Иван", "Юлия", "Сергей",
		"Анна", "Дмитрий", "Ольга", "Bo", "Dora", "Eve", "Fay", "Gil", "José", "Márcia", "Renée", "Jürgen",
	}
	secondNames = [...]string{"", "", "", "Maria", "Петрович", "Сергеевна", "de Fátima", "Luiz"}
	lastNames   = [...]string{
		"Lima", "Araújo", "Gonçalves", "Simões", "Magalhães", "D'Ávila", "Иванов", "Кузнецова", "Смирнов", "Соколова",
		"Moss", "O'Neill", "Nuñez", "Müller", "Żak", "Silva e Souza",
	}
	posts     = [...]string{"", "Compras", "Diretora", "Бухгалтер", "Engenheiro", "Sales", "", "Proprietário"}
	sources   = [...]string{"CALL", "EMAIL", "WEB", "PARTNER", "RECOMMENDATION", "TRADE_SHOW", "", "OTHER"}
	companies = [...]string{"Padaria São João", "ООО Ромашка", "Northwind", "Irmãos Araújo Lda", "Café & Cia", "Завод «Прогресс»", "Lumière", "ACME"}
	interests = [...]string{"golf", "música", "чай", "food", "travel"}
	comments  = [...]string{
		"", "Cliente desde 2019.\nPrefere contacto por e-mail.", "", "[B]VIP[/B] – звонить после 15:00", "Disse: \"ligar depois das férias\"",
		"", "Veio da feira de São Paulo", "Перезвонить / уточнить адрес",
	}
)

func seededFirstName(dst []byte, r *record) []byte {
	return append(dst, firstNames[r.draw(1, uint64(len(firstNames)))]...)
}

func seededSecondName(dst []byte, r *record) []byte {
	return append(dst, secondNames[r.draw(2, uint64(len(secondNames)))]...)
}

func seededLastName(dst []byte, r *record) []byte {
	return append(dst, lastNames[r.draw(3, uint64(len(lastNames)))]...)
}

func seededPost(dst []byte, r *record) []byte {
	return append(dst, posts[r.draw(4, uint64(len(posts)))]...)
}

func seededSource(dst []byte, r *record) []byte {
	return append(dst, sources[r.draw(5, uint64(len(sources)))]...)
}

func seededComment(dst []byte, r *record) []byte {
	return append(dst, comments[r.draw(6, uint64(len(comments)))]...)
}

func seededCompanyTitle(dst []byte, r *record) []byte {
	dst = append(dst, companies[r.draw(7, uint64(len(companies)))]...)
	return strconv.AppendInt(append(dst, ' '), r.id, 10)
}

func seededNumbered(prefix string) func([]byte, *record) []byte {
	return func(dst []byte, r *record) []byte { return strconv.AppendInt(append(dst, prefix...), r.id, 10) }
}

// seededCode makes short codes such as "K-00417"; one record in four has none.
func seededCode(salt uint64) func([]byte, *record) []byte {
	return func(dst []byte, r *record) []byte {
		n := r.draw(salt, 40_000)
		if n >= 30_000 {
			return dst
		}
		return strconv.AppendUint(append(dst, "K-"...), n, 10)
	}
}

func seededWords(salt uint64) func(*record) []string {
	return func(r *record) []string {
		first := r.draw(salt, uint64(len(interests)))
		return interests[first:min(first+r.draw(salt+1, 3), uint64(len(interests)))]
	}
}

func seededNumber(salt, below uint64) func(*record) (int64, bool) {
	return func(r *record) (int64, bool) {
		return int64(r.draw(salt, below)), r.seeded
	}
}

func seededOption(salt uint64, options int) func(*record) (int64, bool) {
	return func(r *record) (int64, bool) {
		return firstOption + int64(r.draw(salt, uint64(max(options, 1)))), r.seeded && options > 0
	}
}

// firstOption is the id of an enumeration's first option.
const firstOption = 41

// seededTime makes instants before the record's creation; one record in eight has none.
func seededTime(salt uint64) func(*record) (int64, bool) {
	return func(r *record) (int64, bool) {
		n := int64(r.draw(salt, 1<<20))
		return r.created - n, r.seeded && n < 7<<17
	}
}

// seededDay makes days, counted from 1970, before the record's creation; one record in eight has none.
func seededDay(salt uint64) func(*record) (int64, bool) {
	return func(r *record) (int64, bool) {
		n := int64(r.draw(salt, 512))
		return r.created/86400 - n, r.seeded && n < 448
	}
}

// seededBirthday makes days from 1950 to 1999; half of the records have none.
func seededBirthday(r *record) (int64, bool) {
	n := int64(r.draw(8, 36_500))
	return n - 7305, r.seeded && n < 18_250
}

func seededLink(salt uint64) func(*record) (int64, bool) {
	return func(r *record) (int64, bool) {
		n := int64(r.draw(100+salt, 2000))
		return n + 1, r.seeded && n < 1000
	}
}

// seededPoints adds a phone number and up to two e-mail addresses, and the flat fields that show
// them; some records lack some of them.
func seededPoints(r *record) {
	first := r.id % (1 << 61) * 4 // multifield ids are global and increasing
	text := strconv.AppendUint(append(make([]byte, 0, 64), "+5511"...), 900_000_000+r.draw(10, 99_999_999), 10)
	text = append(text, "contact."...)
	both := string(append(strconv.AppendInt(text, r.id, 10), "@example.org"...)) // one allocation for the two
	phone, address := both[:14], both[14:]
	if r.draw(9, 16) > 0 {
		r.points = append(r.points, Multifield{first, "PHONE", "MOBILE", phone})
		r.flat[flatPhone], r.flat[flatPhoneMobile] = phone, phone
	}
	if r.draw(11, 4) > 0 {
		r.points = append(r.points, Multifield{first + 1, "EMAIL", "WORK", address})
		r.flat[flatEmail], r.flat[flatEmailWork] = address, address
	}
	if r.draw(12, 8) == 0 {
		address = "família@example.net"
		r.points = append(r.points, Multifield{first + 2, "EMAIL", "HOME", address})
		r.flat[flatEmailHome] = address
		if r.flat[flatEmail] == "" {
			r.flat[flatEmail] = address
		}
	}
}

// seededPoint is what a phone number or address means to seededPoints, so that many records can
// be searched for it quickly.
type seededPoint struct {
	phone  uint64 // the number behind 5511, or 0
	id     int64  // whose address it is, or 0
	family bool
}

func findSeeded(typeID, value string) seededPoint {
	if typeID == "PHONE" {
		digits, found := strings.CutPrefix(value, "5511")
		if number, err := strconv.ParseUint(digits, 10, 64); found && err == nil && len(digits) == 9 {
			return seededPoint{phone: number}
		}
		return seededPoint{}
	}
	digits, isContact := strings.CutPrefix(value, "contact.")
	digits, isExample := strings.CutSuffix(digits, "@example.org")
	if id, err := strconv.ParseInt(digits, 10, 64); isContact && isExample && err == nil && strconv.FormatInt(id, 10) == digits {
		return seededPoint{id: id}
	}
	return seededPoint{family: value == "família@example.net"}
}

func (s seededPoint) matches(r *record) bool {
	switch {
	case s.phone != 0:
		return 900_000_000+r.draw(10, 99_999_999) == s.phone && r.draw(9, 16) > 0
	case s.id != 0:
		return r.id == s.id && r.draw(11, 4) > 0
	default:
		return s.family && r.draw(12, 8) == 0
	}
}

// lastSeededPoint is the highest id that seededPoints gives to a record.
func lastSeededPoint(id int64) int64 { return id%(1<<61)*4 + 3 }

func constant(value string) func([]byte, *record) []byte {
	return func(dst []byte, r *record) []byte { return append(dst, value...) }
}

func constantNumber(value int64) func(*record) (int64, bool) {
	return func(*record) (int64, bool) { return value, true }
}

func fromLink(universal string) func([]int64, *record) []int64 {
	return func(dst []int64, r *record) []int64 {
		if id, found := r.value(r.typ.byUniversal[universal]); found && id != 0 {
			dst = append(dst, id)
		}
		return dst
	}
}
