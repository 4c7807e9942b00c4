package mapping

import (
	"maps"
	"slices"
	"strings"
	"unicode"
)

// synonyms lists names that mean the same, in Portuguese and English, the meaning first. Names are
// folded: without accents, case, separators and the words of stopWords.
var synonyms = [][]string{
	{"name", "nome", "denominacao"},
	{"first name", "primeiro nome", "given name", "prenome", "fname"},
	{"last name", "sobrenome", "surname", "family name", "ultimo nome", "apelido familia", "lname"},
	{"full name", "nome completo", "fullname"},
	{"email", "e mail", "mail", "correio eletronico", "endereco email", "email address"},
	{"phone", "telefone", "fone", "tel", "telephone", "phone number", "numero telefone"},
	{"mobile", "celular", "cellphone", "cell", "mobile phone", "telefone celular", "telemovel", "whatsapp", "personal phone"},
	{"cpf", "numero cpf", "cpf number"},
	{"cnpj", "numero cnpj", "cnpj number"},
	{"document", "documento", "doc", "tax id", "cpf cnpj"},
	{"company", "empresa", "organization", "organisation", "organizacao", "account", "companhia"},
	{"company name", "razao social", "nome empresa", "legal name", "nome fantasia", "trade name"},
	{"amount", "valor", "value", "price", "preco", "opportunity", "montante", "quantia", "valor total", "total", "total amount", "amount total"},
	{"currency", "moeda", "currency code"},
	{"quantity", "quantidade", "qtd", "qty"},
	{"created", "created at", "created on", "created time", "creation date", "date created", "date create", "create date", "data criacao", "criado", "criacao", "dt criacao", "data cadastro", "inclusao", "inserted at", "cadastrado"},
	{"updated", "updated at", "updated time", "modified", "modified at", "date modify", "last modified", "last update", "last updated", "data atualizacao", "atualizado", "atualizacao", "data alteracao", "alterado", "ultima atualizacao", "modificado"},
	{"closed", "closed at", "close date", "closedate", "data fechamento", "fechado", "date closed"},
	{"birth date", "birthday", "birthdate", "date birth", "data nascimento", "nascimento", "aniversario", "dob"},
	{"address", "endereco", "logradouro"},
	{"street", "rua", "avenida", "address line"},
	{"number", "numero", "num", "nro"},
	{"city", "cidade", "municipio", "town"},
	{"state", "estado", "uf", "province", "provincia", "region"},
	{"country", "pais"},
	{"zip", "cep", "postal code", "zip code", "postcode", "codigo postal"},
	{"district", "bairro", "neighborhood", "neighbourhood"},
	{"title", "titulo", "assunto", "subject"},
	{"description", "descricao", "comments", "comment", "observacao", "observacoes", "obs", "notes", "note", "comentario", "comentarios", "anotacao"},
	{"status", "situacao"},
	{"stage", "etapa", "fase", "stage id"},
	{"pipeline", "funil", "funnel"},
	{"source", "origem", "fonte", "source id"},
	{"owner", "responsavel", "assigned", "assigned by", "dono", "proprietario", "vendedor", "assigned by id", "responsible"},
	{"job", "cargo", "job title", "position", "funcao", "post", "profissao", "occupation"},
	{"website", "site", "web", "homepage", "url", "pagina", "web site"},
	{"gender", "sexo", "genero", "sex"},
	{"id", "identificador", "codigo", "code", "identifier", "uuid"},
	{"product", "produto"},
	{"contact", "contato"},
	{"deal", "negocio", "negociacao", "oportunidade"},
	{"customer", "cliente", "client"},
	{"tags", "etiquetas", "labels", "marcadores"},
	{"active", "ativo", "enabled", "habilitado"},
	{"new", "novo", "nova"}, {"open", "aberto", "aberta", "in progress", "ongoing", "em andamento"}, {"won", "ganho", "ganha"}, {"lost", "perdido", "perdida"},
	{"pending", "pendente"}, {"signed", "assinado", "assinada"}, {"paid", "pago", "paga"}, {"canceled", "cancelled", "cancelado", "cancelada"},
	{"yes", "sim"}, {"no", "nao"}, {"male", "masculino"}, {"female", "feminino"},
	{"date", "data"}, {"type", "tipo"}, {"day", "dia"}, {"hour", "hora"},
}

// related lists meanings that stand for each other often, but not always.
var related = [][2]string{
	{"phone", "mobile"}, {"name", "first name"}, {"name", "full name"}, {"name", "title"},
	{"document", "cpf"}, {"document", "cnpj"}, {"address", "street"}, {"stage", "status"}, {"company", "company name"},
}

// stopWords say nothing about what a field holds.
var stopWords = []string{"de", "do", "da", "dos", "das", "em", "o", "a", "of", "the", "is", "has", "uf_crm", "crm", "cf", "custom", "field", "campo"}

// folded are letters that are not accented Latin in Unicode's own order.
var folded = strings.NewReplacer(
	"á", "a", "à", "a", "â", "a", "ã", "a", "ä", "a", "å", "a", "ç", "c", "é", "e", "è", "e", "ê", "e", "ë", "e",
	"í", "i", "ì", "i", "î", "i", "ï", "i", "ñ", "n", "ó", "o", "ò", "o", "ô", "o", "õ", "o", "ö", "o",
	"ú", "u", "ù", "u", "û", "u", "ü", "u", "ý", "y", "ÿ", "y", "ß", "ss", "º", "o", "ª", "a",
	"\u0300", "", "\u0301", "", "\u0302", "", "\u0303", "", "\u0308", "", "\u0327", "")

// words cuts a name into folded words: at separators, and where the case shows a beginning.
func words(name string) []string {
	var b strings.Builder
	runes := []rune(name[:min(len(name), MaxPath)])
	for i, c := range runes {
		begins := unicode.IsUpper(c) && i > 0 && (unicode.IsLower(runes[i-1]) || i+1 < len(runes) && unicode.IsUpper(runes[i-1]) && unicode.IsLower(runes[i+1]))
		if begins {
			b.WriteByte(' ')
		}
		if !unicode.IsLetter(c) && !unicode.IsDigit(c) && !unicode.IsMark(c) {
			c = ' '
		}
		b.WriteRune(unicode.ToLower(c))
	}
	all := strings.Fields(folded.Replace(b.String()))
	said := slices.DeleteFunc(slices.Clone(all), func(word string) bool {
		return slices.Contains(stopWords, word) || strings.Trim(word, "0123456789") == ""
	})
	if len(said) == 0 {
		return all
	}
	return said
}

// lexicon finds the meanings of names.
type lexicon struct {
	meaning map[string]string // by a synonym's words, written together
	kin     map[[2]string]bool
}

func newLexicon(more [][]string) *lexicon {
	l := &lexicon{meaning: make(map[string]string), kin: make(map[[2]string]bool)}
	for _, group := range slices.Concat(synonyms, more) {
		for _, name := range group {
			l.meaning[strings.Join(words(name), "")] = group[0]
		}
	}
	for _, pair := range related {
		l.kin[pair], l.kin[[2]string{pair[1], pair[0]}] = true, true
	}
	return l
}

// meanings translates a name's words, the longest known sequences first. A word that is not known
// stands for itself, without a plural's s.
func (l *lexicon) meanings(name string) []string {
	const longest = 4 // words of a synonym
	rest := words(name)
	found := make(map[string]bool)
	for len(rest) > 0 {
		n := min(len(rest), longest)
		for ; n > 0; n-- {
			if meaning, ok := l.known(strings.Join(rest[:n], "")); ok {
				found[meaning] = true
				break
			}
		}
		if n == 0 {
			found[rest[0]] = true
			n = 1
		}
		rest = rest[n:]
	}
	return slices.Sorted(maps.Keys(found))
}

func (l *lexicon) known(words string) (string, bool) {
	if meaning, ok := l.meaning[words]; ok {
		return meaning, true
	}
	meaning, ok := l.meaning[strings.TrimSuffix(words, "s")]
	return meaning, ok
}

// similarity compares meanings: 1 if they are the same, 0 if nothing is common. common is what
// they share.
func (l *lexicon) similarity(a, b []string) (score float64, common []string) {
	const kinWorth, letterWorth, least = 0.8, 0.8, 0.6
	shared := 0.0
	for _, meaning := range a {
		switch {
		case slices.Contains(b, meaning):
			shared++
			common = append(common, meaning)
		case slices.ContainsFunc(b, func(other string) bool { return l.kin[[2]string{meaning, other}] }):
			shared += kinWorth
			common = append(common, meaning)
		}
	}
	if shared > 0 {
		return min(1, 2*shared/float64(len(a)+len(b))), common
	}
	if letters := trigrams(strings.Join(a, ""), strings.Join(b, "")); letters >= least {
		return letters * letterWorth, nil
	}
	return 0, nil
}

// trigrams returns the Dice coefficient of two words' sequences of three letters.
func trigrams(a, b string) float64 {
	if len(a) < 3 || len(b) < 3 {
		return 0
	}
	count := make(map[string]int)
	for i := range len(a) - 2 {
		count[a[i:i+3]]++
	}
	common := 0
	for i := range len(b) - 2 {
		if count[b[i:i+3]] > 0 {
			count[b[i:i+3]]--
			common++
		}
	}
	return 2 * float64(common) / float64(len(a)+len(b)-4)
}
