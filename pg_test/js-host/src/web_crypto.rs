//! Web Crypto as functions see it.

use serde_json::json;

use crate::support::{error, eval};

const HELPERS: &str = "const { subtle } = crypto; const bytes = (text) => new TextEncoder().encode(text); \
    const hex = (buffer) => new Uint8Array(buffer).toHex();";

fn run(body: &str) -> serde_json::Value {
    eval(&format!("(async () => {{ {HELPERS} {body} }})()"))
}

/// The known answers are of the standards' own test vectors.
#[test]
fn digests_and_macs() {
    let body = "const key = await subtle.importKey('raw', bytes('Jefe'), { name: 'HMAC', hash: 'SHA-256' }, true, ['sign', 'verify']);
        const mac = await subtle.sign('HMAC', key, bytes('what do ya want for nothing?'));
        return [hex(await subtle.digest('sha-1', bytes('abc'))), hex(await subtle.digest({ name: 'SHA-256' }, bytes('abc'))),
            hex(mac), await subtle.verify('HMAC', key, mac, bytes('what do ya want for nothing?')), await subtle.verify('HMAC', key, mac, bytes('x')),
            await subtle.exportKey('jwk', key)];";
    let expected = json!([
        "a9993e364706816aba3e25717850c26c9cd0d89d",
        "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843",
        true, false,
        { "kty": "oct", "k": "SmVmZQ", "alg": "HS256", "key_ops": ["sign", "verify"], "ext": true },
    ]);
    assert_eq!(run(body), expected);
}

#[test]
fn derived_keys() {
    let body = "const password = await subtle.importKey('raw', bytes('password'), 'PBKDF2', false, ['deriveBits', 'deriveKey']);
        const bits = await subtle.deriveBits({ name: 'PBKDF2', hash: 'SHA-1', salt: bytes('salt'), iterations: 4096 }, password, 160);
        const ikm = await subtle.importKey('raw', Uint8Array.fromHex('0b'.repeat(22)), 'HKDF', false, ['deriveBits']);
        const okm = await subtle.deriveBits({ name: 'HKDF', hash: 'SHA-256', salt: Uint8Array.fromHex('000102030405060708090a0b0c'), info: Uint8Array.fromHex('f0f1f2f3f4f5f6f7f8f9') }, ikm, 336);
        const aes = await subtle.deriveKey({ name: 'PBKDF2', hash: 'SHA-256', salt: bytes('s'), iterations: 1 }, password, { name: 'AES-GCM', length: 256 }, false, ['encrypt']);
        return [hex(bits), hex(okm), aes.algorithm, aes.usages, aes.extractable, aes.type];";
    let expected = json!([
        "4b007901b765489abead49d926f721d065a429c1",
        "3cb25f25faacd57a90434f64d0362f2a2d2d0a90cf1a5a4c5db02d56ecc4c5bf34007208d5b887185865",
        { "name": "AES-GCM", "length": 256 }, ["encrypt"], false, "secret",
    ]);
    assert_eq!(run(body), expected);
}

#[test]
fn ciphers() {
    let body = "const raw = Uint8Array.fromHex('2b7e151628aed2a6abf7158809cf4f3c');
        const block = Uint8Array.fromHex('6bc1bee22e409f96e93d7e117393172a');
        const of = (name) => subtle.importKey('raw', raw, name, false, ['encrypt', 'decrypt']);
        const both = async (algorithm) => {
            const key = await of(algorithm.name);
            const text = await subtle.encrypt(algorithm, key, block);
            return [hex(text).slice(0, 32), hex(await subtle.decrypt(algorithm, key, text)) === hex(block)];
        };
        return [
            await both({ name: 'AES-CBC', iv: Uint8Array.fromHex('000102030405060708090a0b0c0d0e0f') }),
            await both({ name: 'AES-CTR', counter: Uint8Array.fromHex('f0f1f2f3f4f5f6f7f8f9fafbfcfdfeff'), length: 64 }),
            (await both({ name: 'AES-GCM', iv: new Uint8Array(12), additionalData: bytes('aad') }))[1],
            await subtle.decrypt({ name: 'AES-GCM', iv: new Uint8Array(12) }, await of('AES-GCM'), new Uint8Array(20)).catch((error) => error.name),
        ];";
    let expected = json!([
        ["7649abac8119b246cee98e9b12e9197d", true],
        ["874d6191b620e3261bef6864990db6ce", true],
        true,
        "OperationError",
    ]);
    assert_eq!(run(body), expected);
}

/// The signature is that of RFC 8037, appendix A.
#[test]
fn edwards_and_montgomery_curves() {
    let body = "const jwk = { kty: 'OKP', crv: 'Ed25519', d: 'nWGxne_9WmC6hEr0kuwsxERJxWl7MmkZcDusAxyuf2A', x: '11qYAYKxCrfVS_7TyWQHOg7hcvPapiMlrwIaaPcHURo' };
        const key = await subtle.importKey('jwk', jwk, 'Ed25519', true, ['sign']);
        const open = await subtle.importKey('jwk', { kty: 'OKP', crv: 'Ed25519', x: jwk.x }, 'Ed25519', true, ['verify']);
        const data = bytes('eyJhbGciOiJFZERTQSJ9.RXhhbXBsZSBvZiBFZDI1NTE5IHNpZ25pbmc');
        const signature = await subtle.sign('Ed25519', key, data);
        const again = await subtle.importKey('pkcs8', await subtle.exportKey('pkcs8', key), 'Ed25519', true, ['sign']);
        const x25519 = async (byte) => {
            const der = Uint8Array.fromHex(`302e020100300506032b656e04220420${byte.repeat(32)}`);
            const key = await subtle.importKey('pkcs8', der, 'X25519', true, ['deriveBits']);
            const { x } = await subtle.exportKey('jwk', key);
            return [key, await subtle.importKey('jwk', { kty: 'OKP', crv: 'X25519', x }, 'X25519', true, [])];
        };
        const [a, openA] = await x25519('07');
        const [b, openB] = await x25519('42');
        const secrets = [await subtle.deriveBits({ name: 'X25519', public: openB }, a, 256), await subtle.deriveBits({ name: 'X25519', public: openA }, b, 256)];
        return [new Uint8Array(signature).toBase64({ alphabet: 'base64url', omitPadding: true }), await subtle.verify('Ed25519', open, signature, data),
            (await subtle.exportKey('jwk', again)).x === jwk.x, hex(secrets[0]) === hex(secrets[1])];";
    let expected = json!([
        "hgyY0il_MGCjP0JzlnLWG1PPOt7-09PGcvMg3AIbQR6dWbhijcNR4ki4iylGjg5BhVsPt9g7sVvpAr_MuM0KAg",
        true,
        true,
        true,
    ]);
    assert_eq!(run(body), expected);
}

#[test]
fn curves_of_nist() {
    let body = "const result = [];
        for (const [namedCurve, d, x, y] of [
            ['P-256', 'jpsQnnGQmL-YBIffH1136cspYG6-0iY7X1fCE9-E9LI', 'f83OJ3D2xF1Bg8vub9tLe1gHMzV76e8Tus9uPHvRVEU', 'x_FEzRu9m36HLN_tue659LNpXW6pCyStikYjKIWI5a0'],
        ]) {
            const jwk = { kty: 'EC', crv: namedCurve, x, y, d };
            const key = await subtle.importKey('jwk', jwk, { name: 'ECDSA', namedCurve }, true, ['sign']);
            const spki = await subtle.exportKey('spki', await subtle.importKey('jwk', { ...jwk, d: undefined }, { name: 'ECDSA', namedCurve }, true, ['verify']));
            const open = await subtle.importKey('spki', spki, { name: 'ECDSA', namedCurve }, true, ['verify']);
            const signature = await subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, bytes('x'));
            const again = await subtle.sign({ name: 'ECDSA', hash: 'SHA-256' }, key, bytes('x'));
            const mine = await subtle.importKey('pkcs8', await subtle.exportKey('pkcs8', key), { name: 'ECDH', namedCurve }, true, ['deriveBits']);
            const theirs = await subtle.importKey('raw', await subtle.exportKey('raw', open), { name: 'ECDH', namedCurve }, true, []);
            result.push(signature.byteLength, hex(signature) === hex(again), await subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, open, signature, bytes('x')),
                await subtle.verify({ name: 'ECDSA', hash: 'SHA-256' }, open, signature, bytes('y')),
                (await subtle.deriveBits({ name: 'ECDH', public: theirs }, mine, 256)).byteLength, (await subtle.exportKey('jwk', mine)).y === y);
        }
        return result;";
    assert_eq!(run(body), json!([64, true, true, false, 32, true]));
}

#[test]
fn rsa() {
    let jwk = include_str!("rsa_key.json");
    let body = format!(
        "const jwk = {jwk};
        const open = {{ kty: 'RSA', n: jwk.n, e: jwk.e }};
        const result = [];
        for (const algorithm of [{{ name: 'RSASSA-PKCS1-v1_5' }}, {{ name: 'RSA-PSS', saltLength: 32 }}]) {{
            const wanted = {{ ...algorithm, hash: 'SHA-256' }};
            const key = await subtle.importKey('jwk', jwk, wanted, true, ['sign']);
            const der = await subtle.importKey('pkcs8', await subtle.exportKey('pkcs8', key), wanted, false, ['sign']);
            const check = await subtle.importKey('jwk', open, wanted, true, ['verify']);
            const signature = await subtle.sign(algorithm, der, bytes('x'));
            result.push(await subtle.verify(algorithm, check, signature, bytes('x')), await subtle.verify(algorithm, check, signature, bytes('y')), key.algorithm.modulusLength);
        }}
        const oaep = {{ name: 'RSA-OAEP', hash: 'SHA-1' }};
        const secret = await subtle.encrypt(oaep, await subtle.importKey('jwk', open, oaep, true, ['encrypt']), bytes('hi'));
        const text = await subtle.decrypt(oaep, await subtle.importKey('jwk', jwk, oaep, true, ['decrypt']), secret);
        const exported = await subtle.exportKey('jwk', await subtle.importKey('jwk', jwk, oaep, true, ['decrypt']));
        return [...result, new TextDecoder().decode(text), ['n', 'e', 'd', 'p', 'q', 'dp', 'dq', 'qi'].every((member) => exported[member] === jwk[member])];"
    );
    assert_eq!(
        run(&body),
        json!([true, false, 2048, true, false, 2048, "hi", true])
    );
}

#[test]
fn misuse() {
    let body = "const key = await subtle.importKey('raw', new Uint8Array(16), 'AES-GCM', false, ['decrypt']);
        const name = (promise) => promise.then(() => 'no error', (error) => error.name);
        return [
            await name(subtle.encrypt({ name: 'AES-GCM', iv: new Uint8Array(12) }, key, new Uint8Array(1))),
            await name(subtle.exportKey('raw', key)),
            await name(subtle.importKey('raw', new Uint8Array(15), 'AES-GCM', false, ['decrypt'])),
            await name(subtle.importKey('raw', new Uint8Array(16), 'AES-GCM', false, ['sign'])),
            await name(subtle.importKey('raw', new Uint8Array(16), 'AES-GCM', false, [])),
            await name(subtle.digest('MD5', new Uint8Array(1))),
            await name(subtle.importKey('spki', new Uint8Array(9), { name: 'RSA-PSS', hash: 'SHA-256' }, false, ['verify'])),
            subtle.wrapKey === undefined,
        ];";
    let expected = json!([
        "InvalidAccessError",
        "InvalidAccessError",
        "DataError",
        "SyntaxError",
        "SyntaxError",
        "NotSupportedError",
        "DataError",
        true
    ]);
    assert_eq!(run(body), expected);
    assert_eq!(
        error("await crypto.subtle.generateKey('Ed25519', true, ['sign']);"),
        "Uncaught Error: Can't use crypto.subtle.generateKey() in queries and mutations. Please consider using an action."
    );
}

#[test]
fn random_values_have_a_limit() {
    let body = "crypto.getRandomValues(new Uint8Array(65536)); \
        try { crypto.getRandomValues(new Uint8Array(65537)); } catch (error) { return error.name; }";
    assert_eq!(run(body), "QuotaExceededError");
}
